//! Our patterns against the server's own.

use larder_redis::Glob;
use larder_testkit::{Answer, RedisServer};
use proptest::test_runner::{Config, TestRunner};

#[test]
fn a_pattern_matches_what_the_server_matches() {
    let server = RedisServer::start();
    let mut client = server.client();
    // Few letters, so that patterns match often; every special byte among them.
    let letter = || proptest::sample::select(b"ab*?[]^-\\\xff\n".to_vec());
    let text = move |most| proptest::collection::vec(letter(), 0..most);
    let mut runner = TestRunner::new(Config { cases: 3000, ..Config::default() });
    let client = std::cell::RefCell::new(&mut client);
    let counted = std::cell::Cell::new(0);
    runner
        .run(&(text(8), text(6)), |(pattern, key)| {
            let mut client = client.borrow_mut();
            client.ask(&["FLUSHDB"]);
            client.ask(&[b"SET".as_slice(), &key, b"x"]);
            let answer = client.ask(&[b"KEYS".as_slice(), &pattern]);
            let Answer::List(keys) = answer else { panic!("{answer:?}") };
            counted.set(counted.get() + keys.len());
            let ours = Glob::new(&pattern).matches(&key);
            proptest::prop_assert_eq!(
                ours,
                !keys.is_empty(),
                "pattern {} key {}",
                pattern.escape_ascii(),
                key.escape_ascii()
            );
            Ok(())
        })
        .unwrap();
    let matched = counted.get();
    assert!(matched > 100, "only {matched} of the patterns matched at all");
}
