//! The daemon from outside: it prunes what passed its budget, and says so.

use larder_testkit::{GoSandbox, fake_gocache};

use crate::daemon_kit::{Daemon, get, kind, settings};

#[test]
fn it_starts_is_ready_answers_and_stops() {
    let sandbox = GoSandbox::new();
    fake_gocache(&sandbox.gocache(), 100);
    settings(&sandbox, "");
    let daemon = Daemon::serve(&sandbox);
    assert_eq!(get(&daemon.address(), "/readyz").status, 200);
    assert!(get(&daemon.address(), "/metrics").body.contains("larder_"));
    let ended = daemon.stop();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert!(ended.told.last().unwrap().contains("STOPPING=1"), "{ended:#?}");
    let words: Vec<String> =
        crate::daemon_kit::events_of(&ended.log).iter().map(|e| kind(e).to_owned()).collect();
    assert_eq!(words.first().unwrap(), "started");
    assert_eq!(words.last().unwrap(), "stopped");
}
