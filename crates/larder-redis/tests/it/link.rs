//! Connections, and what is said when there is none.

use std::io::Write as _;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use larder_redis::{Deployment, Endpoint, Info, Link, RedisError, Secret, Shape};
use larder_testkit::{RedisCluster, RedisServer, free_port};

use crate::endpoint;

#[test]
fn a_server_tells_what_it_is_and_knows_our_name() {
    let server = RedisServer::start();
    let mut link = Link::open(&endpoint(&server).with_database(3), "test").unwrap();
    let info = Info::ask(&mut link).unwrap();
    assert!(info.version() >= (6, 0) && info.run_id().len() == 40);
    let clients = server.client().ask(&["CLIENT", "LIST"]).text();
    assert!(clients.contains("name=larder:test") && clients.contains("db=3"), "{clients}");
    let found = Deployment::discover(&endpoint(&server)).unwrap();
    assert_eq!((found.shape, found.nodes.len()), (Shape::Standalone, 1));
}

#[test]
fn a_connection_that_broke_is_made_again_for_the_next_command() {
    let mut server = RedisServer::start();
    let mut link = Link::open(&endpoint(&server), "test").unwrap();
    server.restart();
    let mut last = link.ping();
    let until = Instant::now() + Duration::from_secs(10);
    while last.is_err() && Instant::now() < until {
        last = link.ping();
    }
    last.unwrap();
    server.kill();
    assert!(matches!(link.ping(), Err(RedisError::Unreachable { .. })));
}

#[test]
fn what_is_not_allowed_is_named_with_its_grant_and_no_password_is_told() {
    let server = RedisServer::start();
    server.client().ask(&["ACL", "SETUSER", "guest", "on", ">hunter2", "~app:*", "+ping", "+dump"]);
    let mut place = endpoint(&server);
    place.user = Some("guest".to_owned());
    place.password = Some(Secret::new("wrong-hunter3"));
    let error = Link::open(&place, "test").unwrap_err();
    assert!(matches!(error, RedisError::Login { .. }), "{error}");
    assert!(!error.to_string().contains("hunter"), "{error}");
    place.password = Some(Secret::new("hunter2"));
    let mut link = Link::open(&place, "test").unwrap();
    link.ping().unwrap();
    let denied = link.ask::<redis::Value>(redis::cmd("CONFIG").arg("GET").arg("*")).unwrap_err();
    assert!(
        denied.to_string().ends_with("does not allow CONFIG GET; it takes: +config|get"),
        "{denied}"
    );
    let denied = link.ask::<redis::Value>(redis::cmd("DUMP").arg("other")).unwrap_err();
    assert!(denied.to_string().ends_with("~PATTERN of the keys"), "{denied}");
    // The rest goes on, over the same connection.
    link.ping().unwrap();
}

#[test]
fn whoever_is_no_redis_is_told_from_one_in_time() {
    let place = |port: u16| {
        let mut place = Endpoint::parse(&format!("redis://127.0.0.1:{port}")).unwrap();
        place.timeouts.connect = Duration::from_millis(500);
        place.timeouts.answer = Duration::from_millis(500);
        place
    };
    let nobody = Link::open(&place(free_port()), "test").unwrap_err();
    assert!(matches!(nobody, RedisError::Unreachable { .. }), "{nobody}");

    // One that accepts and never says a word.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let begun = Instant::now();
    let error = Link::open(&place(silent.local_addr().unwrap().port()), "test").unwrap_err();
    assert!(begun.elapsed() < Duration::from_secs(10));
    let said = error.to_string();
    assert!(said.contains("did not answer") || said.contains("cannot be reached"), "{said}");

    // One that speaks another language.
    let babel = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = babel.local_addr().unwrap().port();
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = babel.accept() {
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    let error = Link::open(&place(port), "test").unwrap_err();
    assert!(error.breaks_link(), "{error:?}");
}

#[test]
fn a_cluster_is_found_from_any_of_its_nodes_and_a_lost_one_is_named() {
    let mut cluster = RedisCluster::start();
    let found = Deployment::discover(&endpoint(&cluster.nodes[1])).unwrap();
    assert_eq!((found.shape, found.nodes.len()), (Shape::Cluster, 3));
    assert_eq!(found.missing, []);
    let held = found.node_of(b"foo").unwrap();
    // CLUSTER KEYSLOT foo is 12182: the third.
    assert_eq!(held.address(), format!("127.0.0.1:{}", cluster.nodes[2].port()));

    let lost = cluster.nodes[2].port();
    cluster.nodes[2].kill();
    let until = Instant::now() + Duration::from_secs(30);
    loop {
        let found = Deployment::discover(&endpoint(&cluster.nodes[0])).unwrap();
        if found.nodes.len() == 2 {
            assert!(found.missing[0].what.ends_with(&lost.to_string()), "{:?}", found.missing);
            break;
        }
        assert!(Instant::now() < until, "the cluster never noticed: {found:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
