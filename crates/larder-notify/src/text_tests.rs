//! Tests of the text: the sketch of an alert in both languages.

use larder_core::{Reason, Severity, Time};

use super::*;
use crate::test_notice::test_notice;

fn notice(occasion: Occasion) -> Notice {
    let at = Time::from_unix(1_700_000_120);
    let reason = |id: &str, lost, text: &str| Reason { id: id.into(), lost, text: text.into() };
    Notice {
        id: "n1".to_owned(),
        occasion,
        at,
        host: "web-1".to_owned(),
        alerts: vec![Alert {
            name: "RedisCacheUnhealthy".to_owned(),
            cache: "redis:sessions".to_owned(),
            severity: Severity::Warning,
            since: Time::from_unix(1_700_000_000),
            ended: None,
            score: Some(77.9),
            score_before: Some(92.0),
            reasons: vec![
                reason("memory", Some(16.0), "1.6 of 2.0 GB"),
                reason("latency", Some(2.4), "KEYS report:* from 10.0.0.7, user batch"),
                reason("no-ttl", None, "412,310 keys under temp:* have no TTL"),
            ],
            trend: "+41 MB/h, full in 3 to 5 days".to_owned(),
            command: Some("larder clean redis:sessions --match 'temp:*' -n".to_owned()),
            frees: Some(318_000_000),
            done: vec![
                "user batch limited until 14:32 (larder unthrottle redis:sessions --user batch)"
                    .to_owned(),
            ],
            details: vec!["temp:import 210 MB".to_owned()],
        }],
    }
}

#[test]
fn an_alert_reads_as_sketched() {
    let text = plain(&notice(Occasion::Raised), Language::En, &Links::default());
    let expected = "\
WARNING redis:sessions health 77 (was 92), for 2 min, on web-1
  memory −16.0: 1.6 of 2.0 GB
  latency −2.4: KEYS report:* from 10.0.0.7, user batch
  412,310 keys under temp:* have no TTL
  +41 MB/h, full in 3 to 5 days
  Frees about 318.0 MB: larder clean redis:sessions --match 'temp:*' -n
  Done by itself: user batch limited until 14:32 (larder unthrottle redis:sessions --user batch)
  temp:import 210 MB
  Runbook: docs/runbooks/RedisCacheUnhealthy.md";
    assert_eq!(text, expected);
}

#[test]
fn an_alert_in_chinese() {
    let text = plain(&notice(Occasion::Reminder), Language::Zh, &Links::default());
    let expected = "\
警告(提醒) redis:sessions 健康分 77(原为 92),已持续 2 分钟,主机 web-1
  内存 −16.0:1.6,上限 2.0 GB
  延迟 −2.4:KEYS report:* from 10.0.0.7, user batch
  412,310 keys under temp:* have no TTL
  +41 MB/h, full in 3 to 5 days
  约可释放 318.0 MB:larder clean redis:sessions --match 'temp:*' -n
  已自动处理:用户 batch 已限流至 14:32(larder unthrottle redis:sessions --user batch)
  temp:import 210 MB
  处理手册:docs/runbooks/RedisCacheUnhealthy.md";
    assert_eq!(text, expected);
}

#[test]
fn an_alert_in_markdown() {
    let links = Links {
        runbooks: Some("https://example.test/larder/docs/runbooks/".to_owned()),
        page: None,
    };
    let text = markdown(&notice(Occasion::Changed), Language::En, &links);
    let expected = "\
**WARNING (changed) redis:sessions health 77 (was 92), for 2 min, on web-1**

- memory −16.0: 1.6 of 2.0 GB
- latency −2.4: KEYS report:\\* from 10.0.0.7, user batch
- 412,310 keys under temp:\\* have no TTL
- \\+41 MB/h, full in 3 to 5 days
- Frees about 318.0 MB: `larder clean redis:sessions --match 'temp:*' -n`
- Done by itself: user batch limited until 14:32 \\(larder unthrottle redis:sessions --user batch\\)
- temp:import 210 MB
- Runbook: <https://example.test/larder/docs/runbooks/RedisCacheUnhealthy.md>";
    assert_eq!(text, expected);
}

#[test]
fn what_is_over_asks_for_nothing() {
    let mut over = notice(Occasion::Cleared);
    over.alerts[0].ended = Some(Time::from_unix(1_700_001_500));
    over.alerts[0].score = Some(91.2);
    let text = plain(&over, Language::En, &Links::default());
    assert!(
        text.starts_with("CLEARED redis:sessions health 91, after 25 min, on web-1\n"),
        "{text}"
    );
    assert!(!text.contains("larder clean") && !text.contains("Runbook"), "{text}");
    let text = plain(&over, Language::Zh, &Links::default());
    assert!(
        text.starts_with("已恢复 redis:sessions 健康分 91,共持续 25 分钟,主机 web-1"),
        "{text}"
    );
}

#[test]
fn a_test_says_that_it_is_one() {
    let notice = test_notice("web-1", Time::from_unix(1_700_000_000));
    let text = plain(&notice, Language::En, &Links::default());
    assert_eq!(text, "TEST larder, on web-1\n  Nothing is wrong: somebody tests this way.");
    assert!(
        plain(&notice, Language::Zh, &Links::default()).starts_with("测试 larder,主机 web-1\n")
    );
}

#[test]
fn what_has_no_score_shows_its_name() {
    let mut grows = notice(Occasion::Raised);
    grows.alerts[0].name = "CacheGrowsFast".to_owned();
    grows.alerts[0].score = None;
    grows.at = grows.alerts[0].since;
    let text = plain(&grows, Language::En, &Links::default());
    assert!(text.starts_with("WARNING redis:sessions CacheGrowsFast, on web-1\n"), "{text}");
}

#[test]
fn a_subject_is_one_line() {
    let links = Links::default();
    let style = Style { language: Language::En, links: &links };
    let mut one = notice(Occasion::Raised);
    one.host = "web\r\nBcc: everybody".to_owned();
    let notices = [one];
    let subject = subject(Content { notices: &notices, missed: 0 }, style);
    assert!(!subject.contains(['\r', '\n']), "{subject}");
    let several = [notice(Occasion::Raised), notice(Occasion::Raised)];
    let content = Content { notices: &several, missed: 3 };
    assert_eq!(super::subject(content, style), "2 alerts, on web-1");
    assert_eq!(lines(content, style)[0].parts[0], Part::Ours(Language::En.missed(3)));
}
