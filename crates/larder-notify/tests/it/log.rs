//! The log file: its lines, several writers, rotation, a line that was cut off.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use larder_core::{Occasion, Time};
use larder_notify::{Fate, Kind};
use serde_json::Value;

use crate::support::{NOW, Running, alert, deliver, notice, quick, receiver};

fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.ends_with('\n'));
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_line_for_each_alert_in_ecs() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("alerts.json");
    let mut two = notice("1", "redis:a", Occasion::Cleared);
    two.alerts[0].ended = Some(Time::from_unix(NOW));
    two.alerts.push(alert("redis:b"));
    let url = url::Url::from_file_path(&path).unwrap();
    assert_eq!(deliver(receiver("log", Kind::Log, url.as_str()), &two).fate, Fate::Sent);
    let lines = lines(&path);
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0]["@timestamp"], "2023-11-14T22:13:20Z");
    assert_eq!(lines[0]["event"]["kind"], "alert");
    assert_eq!(lines[0]["event"]["action"], "cleared");
    assert_eq!(lines[0]["event"]["end"], "2023-11-14T22:13:20Z");
    assert_eq!(lines[0]["log"]["level"], "warn");
    assert_eq!(lines[0]["host"]["name"], "web-1");
    assert_eq!(lines[0]["rule"]["name"], "RedisCacheUnhealthy");
    assert_eq!(lines[1]["labels"]["cache"], "redis:b");
    assert_eq!(lines[1]["event"].get("end"), None);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode & !0o640, 0, "{mode:o}");
    }
}

#[test]
fn several_writers_do_not_mix() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("alerts.json");
    let running: Vec<Running> = (0..4)
        .map(|_| Running::start(vec![receiver("log", Kind::Log, path.to_str().unwrap())], &quick()))
        .collect();
    for (writer, running) in running.iter().enumerate() {
        for n in 0..50 {
            let id = format!("{writer}-{n}");
            let mut notice = notice(&id, &format!("redis:{id}"), Occasion::Raised);
            // Longer than a page and than a pipe.
            notice.alerts[0].details = (0..300).map(|n| format!("temp:{n} of {id}")).collect();
            running.dispatcher.send(&notice);
        }
    }
    for running in &running {
        assert!(running.some(50).iter().all(|d| d.fate == Fate::Sent));
    }
    assert_eq!(lines(&path).len(), 200);
}

#[test]
fn a_file_that_was_renamed_is_followed_by_a_new_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("alerts.json");
    let old = dir.path().join("alerts.json.1");
    let running =
        Running::start(vec![receiver("log", Kind::Log, path.to_str().unwrap())], &quick());
    running.dispatcher.send(&notice("1", "redis:a", Occasion::Raised));
    running.next();
    fs::rename(&path, &old).unwrap();
    running.dispatcher.send(&notice("2", "redis:a", Occasion::Reminder));
    running.next();
    assert_eq!(lines(&old)[0]["event"]["id"], "1");
    assert_eq!(lines(&path)[0]["event"]["id"], "2");
}

#[test]
fn a_line_that_was_cut_off_spoils_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("alerts.json");
    fs::File::create(&path).unwrap().write_all(b"{\"cut\":").unwrap();
    deliver(
        receiver("log", Kind::Log, path.to_str().unwrap()),
        &notice("1", "redis:a", Occasion::Raised),
    );
    let text = fs::read_to_string(&path).unwrap();
    let second: Value = serde_json::from_str(text.lines().nth(1).unwrap()).unwrap();
    assert_eq!(second["event"]["id"], "1");
}

#[test]
fn a_file_that_cannot_be_written_is_a_failure() {
    let dir = tempfile::tempdir().unwrap();
    let delivery = deliver(
        receiver("log", Kind::Log, dir.path().to_str().unwrap()),
        &notice("1", "redis:a", Occasion::Raised),
    );
    assert!(matches!(delivery.fate, Fate::Failed(_)), "{delivery:?}");
    // Somebody may still make the folder.
    let path = dir.path().join("none/alerts.json");
    let delivery = deliver(
        receiver("log", Kind::Log, path.to_str().unwrap()),
        &notice("1", "redis:a", Occasion::Raised),
    );
    assert_eq!(delivery.attempts, 5);
}
