//! Ways to a server, and everything that can be wrong with one.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::Command;
use std::time::{Duration, Instant};

use larder_redis::{Deployment, Endpoint, Info, Link, RedisError, Secret, Shape, Tls, measure};
use larder_testkit::{Certificates, RedisProgram, RedisSentinel, RedisServer, tls_server};

use crate::endpoint;

/// A place that is not waited for for long.
fn place(url: &str) -> Endpoint {
    let mut place = Endpoint::parse(url).unwrap();
    place.timeouts.connect = Duration::from_millis(700);
    place.timeouts.answer = Duration::from_millis(700);
    place
}

fn signal(server: &RedisServer, name: &str) {
    let args = [name.to_owned(), server.pid().to_string()];
    assert!(Command::new("kill").args(args).status().unwrap().success());
}

#[test]
fn tls_with_an_authority_of_our_own_and_no_other() {
    let certificates = Certificates::new();
    let (_server, port) = tls_server(&certificates, false);
    let mut there = place(&format!("rediss://127.0.0.1:{port}"));
    there.tls.authorities = Some(certificates.read("ca.pem"));
    let mut link = Link::open(&there, "test").unwrap();
    link.ping().unwrap();
    let found = Deployment::discover(&there).unwrap();
    assert_eq!((found.shape, found.nodes.len()), (Shape::Standalone, 1));
    // By its name as well, which the certificate has too.
    let mut named = place(&format!("rediss://localhost:{port}"));
    named.tls = there.tls.clone();
    Link::open(&named, "test").unwrap();

    for (authorities, says) in [
        (Some(certificates.read("other-ca.pem")), "no authority that is trusted has signed"),
        // The system's own, which know nothing of it.
        (None, "no authority that is trusted has signed"),
        (Some(b"not a certificate".to_vec()), "ca-file"),
    ] {
        there.tls = Tls { authorities, client: None };
        let error = Link::open(&there, "test").unwrap_err();
        let said = error.to_string();
        assert!(said.contains(says) && said.contains("127.0.0.1"), "{said}");
        assert!(error.breaks_link(), "{error:?}");
    }
}

#[test]
fn a_server_that_asks_for_our_certificate_gets_it() {
    let certificates = Certificates::new();
    let (server, port) = tls_server(&certificates, true);
    let mut there = place(&format!("rediss://127.0.0.1:{port}"));
    there.tls.authorities = Some(certificates.read("ca.pem"));
    let without = Link::open(&there, "test").unwrap_err().to_string();
    // Where the refusal is faster than our first word, only the end of the connection is seen.
    let says = ["certificate", "closed", "reset"];
    assert!(says.iter().any(|word| without.contains(word)), "{without}");
    there.tls.client = Some((certificates.read("client.pem"), certificates.read("client.key")));
    let _link = Link::open(&there, "test").unwrap();
    let clients = server.client().ask(&["CLIENT", "LIST"]).text();
    assert!(clients.contains("name=larder:test"), "{clients}");
    // A key that is none, and one of somebody else.
    for key in [b"not a key".to_vec(), certificates.read("ca.key")] {
        there.tls.client = Some((certificates.read("client.pem"), key));
        let error = Link::open(&there, "test").unwrap_err().to_string();
        assert!(!error.contains("BEGIN"), "{error}");
    }
}

#[test]
fn speaking_plainly_where_tls_is_spoken_and_the_other_way_round() {
    let certificates = Certificates::new();
    let (server, port) = tls_server(&certificates, false);
    let plain = Link::open(&place(&format!("redis://127.0.0.1:{port}")), "test").unwrap_err();
    assert!(plain.breaks_link(), "{plain:?}");
    let mut tls = place(&format!("rediss://127.0.0.1:{}", server.port()));
    tls.tls.authorities = Some(certificates.read("ca.pem"));
    let begun = Instant::now();
    let tls = Link::open(&tls, "test").unwrap_err();
    assert!(tls.breaks_link() && begun.elapsed() < Duration::from_secs(20), "{tls:?}");
}

#[test]
fn a_sentinel_leads_to_the_master_of_now() {
    let sentinel = RedisSentinel::start();
    let seed = place(&sentinel.url());
    let port = |found: &Deployment| found.nodes[0].address().rsplit_once(':').unwrap().1.to_owned();
    let before = Deployment::discover(&seed).unwrap();
    assert_eq!((before.shape, before.nodes.len()), (Shape::Sentinel, 1));
    assert_eq!(port(&before), sentinel.servers[0].port().to_string());
    assert_eq!(before.nodes[0].replicas.len(), 1);
    let mut link = Link::open(&before.nodes[0].endpoint, "test").unwrap();
    let set = |link: &mut Link| -> Result<(), RedisError> {
        link.ask(redis::cmd("SET").arg("x").arg("1"))
    };
    set(&mut link).unwrap();

    sentinel.fail_over();
    // Whoever still talks to the old one is told so, once that has heard of it.
    let end = Instant::now() + Duration::from_secs(30);
    while set(&mut link).is_ok() {
        assert!(Instant::now() < end, "the old master takes writes for ever");
        std::thread::sleep(Duration::from_millis(20));
    }
    let after = Deployment::discover(&seed).unwrap();
    assert_eq!(port(&after), sentinel.servers[1].port().to_string());
    set(&mut Link::open(&after.nodes[0].endpoint, "test").unwrap()).unwrap();

    let mut named = seed.clone();
    named.sentinel_master = Some("other".to_owned());
    let error = Deployment::discover(&named).unwrap_err();
    assert!(error.to_string().contains("watches no master \"other\""), "{error}");
    named.sentinel_master = Some(RedisSentinel::MASTER.to_owned());
    assert_eq!(port(&Deployment::discover(&named).unwrap()), port(&after));
}

#[test]
fn a_unix_socket_and_one_where_nobody_listens() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("redis.sock");
    let server = RedisServer::with(&["--unixsocket", socket.to_str().unwrap()]);
    let there = place(&format!("unix://{}?db=3", socket.display()));
    let mut link = Link::open(&there, "test").unwrap();
    let () = link.ask(redis::cmd("SET").arg("x").arg("1")).unwrap();
    let mut client = server.client();
    client.ask(&["SELECT", "3"]);
    assert_eq!(client.ask(&["GET", "x"]).text(), "1");
    let vitals = measure(&there).unwrap();
    assert_eq!(vitals.keys, Some(1));
    drop(server);
    for path in [socket, folder.path().join("nothing.sock")] {
        let error = Link::open(&place(&format!("unix://{}", path.display())), "test").unwrap_err();
        assert!(matches!(error, RedisError::Unreachable { .. }), "{error:?}");
        assert!(error.to_string().starts_with(path.to_str().unwrap()), "{error}");
    }
}

#[test]
fn a_database_that_does_not_exist_is_a_matter_of_settings() {
    let server = RedisServer::with(&["--databases", "4"]);
    let error = Link::open(&endpoint(&server).with_database(7), "test").unwrap_err();
    assert!(matches!(error, RedisError::Setup { .. }), "{error:?}");
    assert!(error.to_string().contains("no database 7"), "{error}");
    Link::open(&endpoint(&server).with_database(3), "test").unwrap();
}

#[test]
fn a_login_that_is_wrong_or_missing_or_needless() {
    let server = RedisServer::with(&["--requirepass", "hunter2"]);
    let with = |user: Option<&str>, password: Option<&str>| {
        let mut there = endpoint(&server);
        there.user = user.map(str::to_owned);
        there.password = password.map(Secret::new);
        Link::open(&there, "test").and_then(|mut link| Info::ask(&mut link).map(drop))
    };
    for (user, password) in [
        (None, None),
        (None, Some("hunter3")),
        (Some("nobody"), Some("hunter2")),
        (Some("default"), Some("")),
    ] {
        let error = with(user, password).unwrap_err();
        assert!(matches!(error, RedisError::Login { .. }), "{user:?}: {error:?}");
        assert!(!error.to_string().contains("hunter"), "{error}");
    }
    with(None, Some("hunter2")).unwrap();
    with(Some("default"), Some("hunter2")).unwrap();
    // A password where none is set: the server says so, and it is no riddle.
    let open = RedisServer::start();
    let mut there = endpoint(&open);
    there.password = Some(Secret::new("hunter2"));
    let said = Link::open(&there, "test").map(drop);
    assert!(matches!(said, Ok(()) | Err(RedisError::Login { .. })), "{said:?}");
}

#[test]
fn a_user_without_rights_learns_each_grant_and_the_rest_goes_on() {
    let server = RedisServer::start();
    let rules = ["on", ">hunter2", "~app:*", "+ping", "+get", "+select"];
    server.client().ask(&[&["ACL", "SETUSER", "guest"][..], &rules].concat());
    let mut there = endpoint(&server);
    there.user = Some("guest".to_owned());
    there.password = Some(Secret::new("hunter2"));
    let mut link = Link::open(&there.with_database(2), "test").unwrap();
    for (command, grant) in [
        (&["INFO"][..], "+info"),
        (&["SLOWLOG", "GET"], "+slowlog|get"),
        (&["CLIENT", "LIST"], "+client|list"),
        (&["CLIENT", "KILL", "ID", "1"], "+client|kill"),
        (&["ACL", "SETUSER", "x"], "+acl|setuser"),
        (&["CONFIG", "GET", "x"], "+config|get"),
        (&["MEMORY", "USAGE", "app:1"], "+memory|usage"),
        (&["SCAN", "0"], "+scan"),
        (&["UNLINK", "app:1"], "+unlink"),
        (&["GET", "other"], "~PATTERN of the keys"),
    ] {
        let mut asked = redis::cmd(command[0]);
        for word in &command[1..] {
            asked.arg(word);
        }
        let error = link.ask::<redis::Value>(&asked).unwrap_err();
        assert!(error.is_missing_right() && !error.breaks_link(), "{error:?}");
        assert!(error.to_string().ends_with(&format!("it takes: {grant}")), "{error}");
        link.ping().unwrap();
    }
}

#[test]
fn a_server_that_hangs_is_said_to_hang_and_found_again() {
    let server = RedisServer::start();
    let there = place(&server.url());
    let mut link = Link::open(&there, "test").unwrap();
    signal(&server, "-STOP");
    let begun = Instant::now();
    let asked = link.ping().unwrap_err();
    let opened = Link::open(&there, "test").unwrap_err();
    let took = begun.elapsed();
    signal(&server, "-CONT");
    for error in [&asked, &opened] {
        assert!(matches!(error, RedisError::TimedOut { .. }), "{error:?}");
    }
    assert!(asked.to_string().ends_with("did not answer PING within 700ms"), "{asked}");
    assert!(took < Duration::from_secs(15), "{took:?}");
    // The answer that came too late is not taken for that of the next command.
    let echoed: String = link.ask(redis::cmd("ECHO").arg("mine")).unwrap();
    assert_eq!(echoed, "mine");

    server.client().send(&["DEBUG", "SLEEP", "1.5"]);
    std::thread::sleep(Duration::from_millis(100));
    let error = link.ask::<redis::Value>(&redis::cmd("DBSIZE")).unwrap_err();
    assert!(error.to_string().contains("did not answer DBSIZE within"), "{error}");
    let end = Instant::now() + Duration::from_secs(10);
    while link.ping().is_err() {
        assert!(Instant::now() < end, "it never comes back");
    }
}

#[test]
fn a_server_that_is_loading_says_so_and_then_is_there() {
    let mut server = RedisServer::with(&[
        "--loading-process-events-interval-bytes",
        "1024",
        "--rdbcompression",
        "no",
    ]);
    // Before 7.0 it answers once in 2 MB.
    let size = if RedisProgram::here().knows((7, 0)) { 64 } else { 8192 };
    let sets: Vec<Vec<String>> =
        (0..4000).map(|n| vec!["SET".to_owned(), format!("key:{n}"), "x".repeat(size)]).collect();
    server.client().ask_all(&sets);
    server.client().ask(&["SAVE"]);
    // A millisecond a key: 4 s, in which it answers to nothing but INFO and the like.
    server.add_option(&["--key-load-delay", "1000"]);
    server.restart();
    let there = place(&server.url());
    let mut link = Link::open(&there, "test").unwrap();
    let error = link.ask::<redis::Value>(redis::cmd("GET").arg("key:1")).unwrap_err();
    assert!(matches!(error, RedisError::Loading { .. }), "{error:?}");
    assert!(Info::ask(&mut link).unwrap().loading());
    let vitals = measure(&there).unwrap();
    assert_eq!(vitals.state, larder_redis::ServerState::Loading);
    server.client().ask(&["CONFIG", "SET", "key-load-delay", "0"]);
    let end = Instant::now() + Duration::from_secs(30);
    while link.ask::<redis::Value>(redis::cmd("GET").arg("key:1")).is_err() {
        assert!(Instant::now() < end, "it loads for ever");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Listens, and answers whoever comes with this, over and over, and closes where `close`.
fn babel(says: &'static [u8], close: bool) -> Endpoint {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            std::thread::spawn(move || {
                let mut heard = [0; 4096];
                while stream.read(&mut heard).is_ok_and(|n| n > 0) {
                    if stream.write_all(says).is_err() || close {
                        break;
                    }
                }
            });
        }
    });
    place(&format!("redis://127.0.0.1:{port}"))
}

#[test]
fn whoever_is_no_redis_never_hangs_us_nor_is_believed() {
    for (says, close) in [
        (&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], true),
        (b"SSH-2.0-OpenSSH_9.2\r\n", false),
        (b"\x00\xff\xfe\x01", false),
        (b"$99999999999\r\nx", false),
        (b"$-7\r\n", false),
        (b"*1000000000\r\n", false),
        (b"+OK\r\n", false),
        (b":1\r\n:2\r\n:3\r\n", false),
        (b"", true),
        (b"+OK", true),
        (b"$10\r\nhalf", true),
    ] {
        let there = babel(says, close);
        let begun = Instant::now();
        let found = Deployment::discover(&there);
        let took = begun.elapsed();
        let error = found.unwrap_err();
        assert!(took < Duration::from_secs(15), "{says:?}: {took:?}");
        assert!(error.to_string().contains(there.address()), "{says:?}: {error}");
    }
}

#[test]
fn a_server_that_vanishes_in_the_middle_of_many_answers() {
    let mut server = RedisServer::start();
    let mut link = Link::open(&place(&server.url()), "test").unwrap();
    let () = link.ask(redis::cmd("SET").arg("x").arg("y".repeat(1000))).unwrap();
    let mut many = redis::pipe();
    for _ in 0..1000 {
        many.cmd("GET").arg("x");
    }
    many.cmd("DEBUG").arg("SLEEP").arg("20");
    let victim = server.pid().to_string();
    let killer = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(150));
        Command::new("kill").args(["-KILL", &victim]).status().unwrap()
    });
    let error = link.ask_all(&many).unwrap_err();
    assert!(killer.join().unwrap().success());
    assert!(matches!(error, RedisError::Unreachable { .. }), "{error:?}");
    // It is asked anew, and nothing of before comes twice.
    server.restart();
    let until = Instant::now() + Duration::from_secs(10);
    while link.ping().is_err() {
        assert!(Instant::now() < until, "the link does not come back");
    }
    assert_eq!(link.ask::<Option<String>>(redis::cmd("GET").arg("x")), Ok(None));
}
