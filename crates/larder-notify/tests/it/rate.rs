//! The rate of a robot: how many messages it is sent, and that nothing is lost by it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use larder_core::Occasion;
use larder_notify::{Clock as _, Fate, Kind, Options};

use crate::server::{Server, answer};
use crate::support::{FastClock, Running, notice, quick, receiver};

#[test]
fn a_robot_gets_twenty_a_minute_and_all_that_waits_in_one() {
    const NOTICES: usize = 150;
    let clock = FastClock::new(100);
    let times: Arc<Mutex<Vec<Duration>>> = Arc::default();
    let (seen, told) = (Arc::clone(&times), Arc::clone(&clock));
    let server = Server::start(move |_, _, stream| {
        seen.lock().unwrap().push(told.elapsed());
        answer(stream, "200 OK", "", r#"{"errcode":0,"errmsg":"ok"}"#);
    });
    let mut robot = receiver("robot", Kind::Dingtalk, &server.url());
    robot.rate = None;
    let running = Running::start(vec![robot], &Options { clock, ..quick() });
    for n in 0..NOTICES {
        running.dispatcher.send(&notice(&n.to_string(), &format!("redis:{n}"), Occasion::Raised));
        // One a second as the clock tells it, which is three times what it bears.
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(running.some(NOTICES).iter().all(|d| d.fate == Fate::Sent));
    let times = times.lock().unwrap().clone();
    assert!(times.len() < NOTICES / 2, "{} messages", times.len());
    for (index, begin) in times.iter().enumerate() {
        // Not quite a minute: on a busy machine one message arrives later than another. The bucket's
        // own tests are exact.
        let end = *begin + Duration::from_secs(40);
        let within = times[index..].iter().take_while(|at| **at < end).count();
        assert!(within <= 20, "{within} messages in 40 seconds");
    }
    let all: String = server.requests().iter().map(|request| request.body.clone()).collect();
    for n in 0..NOTICES {
        assert!(all.contains(&format!("WARNING redis:{n} health")), "{n} is missing");
    }
    let titles: Vec<String> = server
        .requests()
        .iter()
        .map(|request| request.json()["markdown"]["title"].as_str().unwrap().to_owned())
        .collect();
    assert!(titles.iter().any(|title| title.ends_with("alerts, on web-1")), "{titles:?}");
}
