//! What each service is sent, and what it has to say for a message to count as sent.

use larder_core::{Notice, Occasion, Severity};
use larder_notify::{Delivery, Fate, Kind, Language, Receiver};

use crate::server::{Request, Server};
use crate::support::{alert, deliver, notice, receiver, secret_file};

fn sent(kind: Kind, body: &'static str, change: impl Fn(&mut Receiver)) -> (Delivery, Request) {
    sent_notice(kind, body, &notice("n1", "redis:a", Occasion::Raised), change)
}

fn sent_notice(
    kind: Kind,
    body: &'static str,
    notice: &Notice,
    change: impl Fn(&mut Receiver),
) -> (Delivery, Request) {
    let server =
        Server::says(if kind == Kind::Pagerduty { "202 Accepted" } else { "200 OK" }, body);
    let mut receiver = receiver("team", kind, &server.url());
    change(&mut receiver);
    let delivery = deliver(receiver, notice);
    let request = server.requests().remove(0);
    assert!(request.header("content-type").unwrap().starts_with("application/json"));
    (delivery, request)
}

fn is_sent(kind: Kind, body: &'static str) -> bool {
    let delivery = sent(kind, body, |_| {}).0;
    match delivery.fate {
        Fate::Sent => true,
        Fate::Failed(why) => {
            assert!(!why.contains("0123456789"), "{why}");
            false
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn success_is_what_the_service_calls_one() {
    assert!(is_sent(Kind::Slack, "ok"));
    assert!(!is_sent(Kind::Slack, "no_text"));
    assert!(!is_sent(Kind::Slack, ""));
    for kind in [Kind::Dingtalk, Kind::Wecom] {
        assert!(is_sent(kind, r#"{"errcode":0,"errmsg":"ok"}"#));
        assert!(!is_sent(kind, r#"{"errcode":310000,"errmsg":"sign not match K0123456789"}"#));
        assert!(!is_sent(kind, "{}"));
        assert!(!is_sent(kind, "ok"));
    }
    assert!(is_sent(Kind::Feishu, r#"{"code":0,"msg":"success","data":{}}"#));
    assert!(is_sent(Kind::Feishu, r#"{"StatusCode":0,"StatusMessage":"success"}"#));
    assert!(!is_sent(Kind::Feishu, r#"{"code":19021,"msg":"sign match fail"}"#));
    assert!(is_sent(Kind::Discord, ""));
    assert!(is_sent(Kind::Teams, ""));
    assert!(is_sent(Kind::Teams, "1"));
    assert!(!is_sent(Kind::Teams, "Webhook message delivery failed with error: bad card"));
}

#[test]
fn dingtalk_gets_markdown_and_the_signature_of_the_vector() {
    let ok = r#"{"errcode":0}"#;
    let (delivery, request) = sent(Kind::Dingtalk, ok, |receiver| {
        receiver.secret_file = Some(secret_file("SECtest"));
        receiver.language = Language::Zh;
    });
    assert_eq!(delivery.fate, Fate::Sent);
    let query = "&timestamp=1700000000000&sign=aZLLrriXgn05YbwaGR7knYsLeJADjr9NwLaNNKpxh4g%3D";
    assert!(request.target.ends_with(query), "{}", request.target);
    let body = request.json();
    assert_eq!(body["msgtype"], "markdown");
    assert_eq!(body["at"]["isAtAll"], false);
    let text = body["markdown"]["text"].as_str().unwrap();
    assert!(text.starts_with("**警告 redis:a 健康分 77"), "{text}");
    assert!(!text.contains("@everyone") && !text.contains("[x]("), "{text}");
}

#[test]
fn feishu_gets_plain_text_and_the_signature_of_the_vector() {
    let (_, request) = sent(Kind::Feishu, r#"{"code":0}"#, |receiver| {
        receiver.secret_file = Some(secret_file("SECtest"));
    });
    let body = request.json();
    assert_eq!(body["timestamp"], "1700000000");
    assert_eq!(body["sign"], "G7XpBpG8NgG02fJOAhX6FRAObIljmFoxVReo8I62pEk=");
    assert_eq!(body["card"]["header"]["template"], "orange");
    assert_eq!(body["card"]["elements"][0]["text"]["tag"], "plain_text");
    assert_eq!(body["card"]["header"]["title"]["tag"], "plain_text");
    let unsigned = sent(Kind::Feishu, r#"{"code":0}"#, |_| {}).1.json();
    assert_eq!(unsigned.get("sign"), None);
}

#[test]
fn wecom_has_4096_bytes() {
    let mut long = notice("n1", "redis:a", Occasion::Raised);
    long.alerts[0].details = (0..500).map(|n| format!("内存 temp:{n} <@all>")).collect();
    let (delivery, request) = sent_notice(Kind::Wecom, r#"{"errcode":0}"#, &long, |receiver| {
        receiver.language = Language::Zh;
    });
    assert_eq!(delivery.fate, Fate::Sent);
    let body = request.json();
    let text = body["markdown"]["content"].as_str().unwrap();
    assert!(text.len() <= 4096 && text.len() > 3900, "{}", text.len());
    assert!(!text.contains("<@all>"));
    let last = text.lines().last().unwrap();
    assert!(last.starts_with("… 另有 ") && last.ends_with(" 行"), "{last}");
    assert!(text.contains("larder clean redis:a --match 'temp:*' -n"), "what to do stays");
}

#[test]
fn discord_mentions_nobody_and_has_2000_characters() {
    let mut long = notice("n1", "redis:a", Occasion::Raised);
    long.alerts[0].details = (0..500).map(|n| format!("temp:{n}")).collect();
    let (delivery, request) = sent_notice(Kind::Discord, "", &long, |_| {});
    assert_eq!(delivery.fate, Fate::Sent);
    let body = request.json();
    let text = body["content"].as_str().unwrap();
    assert!(text.encode_utf16().count() <= 2000, "{}", text.len());
    assert!(text.ends_with(" more"), "{text}");
    assert!(!text.contains("@everyone"), "{text}");
    assert_eq!(body["allowed_mentions"]["parse"], serde_json::json!([]));
}

#[test]
fn slack_gets_text_without_markup() {
    let body = sent(Kind::Slack, "ok", |_| {}).1.json();
    assert_eq!(body["blocks"][0]["text"]["type"], "plain_text");
    assert_eq!(body["blocks"][1]["text"]["type"], "plain_text");
    assert_eq!(body["blocks"][1]["text"]["emoji"], false);
    let literal = body["blocks"][1]["text"]["text"].as_str().unwrap();
    assert!(literal.contains("KEYS report:* from @everyone <!channel>"), "{literal}");
    let fallback = body["text"].as_str().unwrap();
    assert!(fallback.contains("&lt;!channel&gt;") && !fallback.contains('<'), "{fallback}");
}

#[test]
fn teams_gets_an_adaptive_card_of_text_runs() {
    let mut two = notice("n1", "redis:a", Occasion::Raised);
    two.alerts.push(alert("redis:b"));
    two.alerts[1].severity = Severity::Critical;
    let body = sent_notice(Kind::Teams, "", &two, |_| {}).1.json();
    let card = &body["attachments"][0];
    assert_eq!(card["contentType"], "application/vnd.microsoft.card.adaptive");
    let blocks = card["content"]["body"].as_array().unwrap();
    assert!(blocks.iter().all(|block| block["inlines"][0]["type"] == "TextRun"));
    assert_eq!(blocks[0]["inlines"][0]["text"], "2 alerts, on web-1");
    assert_eq!(blocks[0]["inlines"][0]["color"], "Attention");
    let titles = blocks
        .iter()
        .filter(|block| block["inlines"][0]["text"].as_str().unwrap().contains("health 77"));
    assert_eq!(titles.count(), 2);
}

#[test]
fn pagerduty_triggers_and_resolves_the_same_incident() {
    let with_key = |receiver: &mut Receiver| receiver.secret_file = Some(secret_file("R0UT1NGKEY"));
    let ok = r#"{"status":"success"}"#;
    let raised = sent(Kind::Pagerduty, ok, with_key).1.json();
    assert_eq!(raised["routing_key"], "R0UT1NGKEY");
    assert_eq!(raised["event_action"], "trigger");
    assert_eq!(raised["payload"]["severity"], "warning");
    assert_eq!(raised["payload"]["source"], "web-1");
    let alert = &raised["payload"]["custom_details"]["alert"];
    assert_eq!(alert["command"], "larder clean redis:a --match 'temp:*' -n");
    let mut cleared = notice("n2", "redis:a", Occasion::Cleared);
    cleared.alerts[0].score = Some(95.0);
    let cleared = sent_notice(Kind::Pagerduty, ok, &cleared, with_key).1.json();
    assert_eq!(cleared["event_action"], "resolve");
    assert_eq!(cleared["dedup_key"], raised["dedup_key"]);
    let mut long = notice("n3", &"x".repeat(400), Occasion::Raised);
    long.alerts[0].trend = String::new();
    let long = sent_notice(Kind::Pagerduty, ok, &long, with_key).1.json();
    assert!(long["dedup_key"].as_str().unwrap().len() <= 255);
    // 200 is not what it says when it took an event.
    let server = Server::says("200 OK", ok);
    let mut other = receiver("team", Kind::Pagerduty, &server.url());
    with_key(&mut other);
    let delivery = deliver(other, &notice("n4", "redis:a", Occasion::Raised));
    assert!(matches!(delivery.fate, Fate::Failed(_)), "{delivery:?}");
}

#[test]
fn a_webhook_gets_the_document_and_a_signature() {
    let (delivery, request) = sent(Kind::Webhook, "", |receiver| {
        receiver.secret_file = Some(secret_file("hook-secret"));
    });
    assert_eq!((delivery.fate, delivery.attempts), (Fate::Sent, 1));
    assert_eq!(delivery.alerts, [("RedisCacheUnhealthy".to_owned(), "redis:a".to_owned())]);
    assert_eq!(request.json()["schema"], "larder/notice/1");
    assert_eq!(request.header("webhook-id"), Some("n1"));
    assert_eq!(request.header("webhook-timestamp"), Some("1700000000"));
    // The openssl command knows nothing of us.
    let message = format!("n1.1700000000.{}", request.body);
    let expected = format!("v1,{}", openssl_hmac("hook-secret", &message));
    assert_eq!(request.header("webhook-signature"), Some(&expected[..]));
    let unsigned = sent(Kind::Webhook, "", |_| {}).1;
    assert_eq!(unsigned.header("webhook-signature"), None);
}

fn openssl_hmac(key: &str, message: &str) -> String {
    use std::io::Write as _;
    use std::process::{Command, Stdio};
    let script = "openssl dgst -sha256 -hmac \"$0\" -binary | openssl base64 -A";
    let mut child = Command::new("sh")
        .args(["-c", script, key])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(message.as_bytes()).unwrap();
    String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
}

#[test]
fn a_webhook_template_makes_the_body() {
    let (delivery, request) = sent(Kind::Webhook, "", |receiver| {
        let template = r#"{"text": {{ title|tojson }}, "caches": [{% for alert in alerts %}{{ alert.cache|tojson }}{% endfor %}]}"#;
        receiver.template = Some(template.to_owned());
    });
    assert_eq!(delivery.fate, Fate::Sent);
    let body = request.json();
    assert_eq!(body["caches"], serde_json::json!(["redis:a"]));
    assert_eq!(body["text"], "WARNING redis:a health 77 (was 92), for 2 min, on web-1");
}

#[test]
fn an_address_may_lie_in_a_file() {
    let server = Server::says("200 OK", "ok");
    let mut receiver = receiver("team", Kind::Slack, "");
    let path = secret_file(&server.url());
    receiver.address = Some(larder_notify::Address::File(path));
    let delivery = deliver(receiver.clone(), &notice("n1", "redis:a", Occasion::Raised));
    assert_eq!(delivery.fate, Fate::Sent);
    receiver.address = Some(larder_notify::Address::File("/nowhere/url".into()));
    let delivery = deliver(receiver, &notice("n1", "redis:a", Occasion::Raised));
    let Fate::Failed(why) = delivery.fate else { panic!("{delivery:?}") };
    assert!(why.starts_with("url-file /nowhere/url cannot be used: "), "{why}");
    assert_eq!(delivery.attempts, 1);
}
