//! No password is ever seen: everything that larder says and everything that it writes is searched
//! for the passwords that it was given, that a server knows, and that went over the wire.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use larder_testkit::{RedisClient, RedisProgram, RedisServer, free_port};

use crate::flow::LARDER;
use crate::{Home, Ran};

/// Ours, the offender's, and one that is in a value and in the arguments of commands.
const SECRETS: [&str; 3] = ["ours-quailfern", "batch-osprey", "value-marmot"];

/// SHA-256 of the first two, as ACL LIST tells them.
fn hashes(server: &mut RedisClient) -> Vec<String> {
    let all = server.ask(&["ACL", "LIST"]).list().concat();
    let all = String::from_utf8(all).unwrap();
    all.split_whitespace()
        .filter_map(|word| word.strip_prefix('#'))
        .map(|hash| hash[..64].to_owned())
        .collect()
}

struct Search {
    home: Home,
    words: Vec<String>,
}

impl Search {
    #[track_caller]
    fn told(&self, ran: &Ran) {
        let said = format!("{ran:?}");
        for word in &self.words {
            assert!(!said.contains(word.as_str()), "{word} is in {ran:#?}");
        }
    }

    /// Runs it with `--verbose`, with `--json`, and as it is.
    #[track_caller]
    fn run(&self, args: &[&str]) {
        for more in [&[][..], &["--verbose"], &["--json"]] {
            let ran = self.home.run(&[args, more].concat());
            self.told(&ran);
        }
    }

    /// Everything below the home, but the files that hold a secret for us.
    fn files(&self) {
        let mut seen = 0;
        search(self.home.path(), &mut |path, bytes| {
            seen += 1;
            let holds = |word: &String| bytes.windows(word.len()).any(|w| w == word.as_bytes());
            let found = self.words.iter().find(|word| holds(word));
            assert!(found.is_none(), "{found:?} is in {}", path.display());
        });
        assert!(seen >= 5, "only {seen} files were looked at");
    }
}

fn search(folder: &Path, look: &mut dyn FnMut(&Path, &[u8])) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            search(&path, look);
        } else if !path.file_name().unwrap().to_str().unwrap().starts_with("secret") {
            // A file that a command has just put in place of another is there under that name.
            if let Ok(bytes) = std::fs::read(&path) {
                look(&path, &bytes);
            }
        }
    }
}

fn set_up(server: &RedisServer) -> (Search, RedisClient) {
    let home = Home::new();
    let secret = home.write("secret", &format!("{}\n", SECRETS[0]));
    let wrong = home.write("secret-wrong", &format!("{}x\n", SECRETS[0]));
    let url = server.url();
    let of = |name: &str, url: &str, file: &Path| {
        format!(
            "[redis.{name}]\nurl = \"{url}\"\npassword-file = {file:?}\ntimeout = \"1s\"\nconnect-timeout = \"1s\"\n"
        )
    };
    let text = [
        of("s", &url, &secret),
        of("prod", &format!("{url}/0"), &secret) + "profile = \"production\"\n",
        of("wrong", &url, &wrong),
        of("gone", &format!("redis://127.0.0.1:{}", free_port()), &secret),
        of("tls", &url.replace("redis:", "rediss:"), &secret),
        of("database", &format!("{url}/99"), &secret),
    ];
    home.write("config/larder/config.toml", &text.concat());
    let mut client = server.client();
    client.ask(&["AUTH", SECRETS[0]]);
    client.ask(&["CONFIG", "SET", "slowlog-log-slower-than", "0"]);
    let password = format!(">{}", SECRETS[1]);
    let rules = ["ACL", "SETUSER", "batch", "on", &password, "~*", "&*", "+@all"];
    client.ask(&RedisProgram::here().understood(&rules));
    for n in 0..40 {
        client.ask(&["SET", &format!("temp:{n}"), SECRETS[2]]);
        client.ask(&["HSET", &format!("user:{n}"), "token", SECRETS[2]]);
    }
    // All of these are in the slow log, with what follows them.
    client.ask(&["AUTH", "batch", SECRETS[1]]);
    client.ask(&["HELLO", "2", "AUTH", "batch", SECRETS[1]]);
    client.ask(&["KEYS", "temp:*"]);
    client.ask(&["EVAL", &format!("return '{}'", SECRETS[2]), "0"]);
    client.ask(&["ECHO", SECRETS[2]]);
    client.ask(&["MIGRATE", "127.0.0.1", "1", "x", "0", "1", "AUTH", SECRETS[1]]);
    client.ask(&["AUTH", "nobody", SECRETS[1]]);
    client.ask(&["AUTH", SECRETS[0]]);
    let mut words: Vec<String> = SECRETS.iter().map(|secret| (*secret).to_owned()).collect();
    words.extend(hashes(&mut client));
    assert_eq!(words.len(), 5, "{words:?}");
    (Search { home, words }, client)
}

#[test]
fn no_password_is_in_anything_that_is_said_or_written() {
    let server = RedisServer::with(&["--requirepass", SECRETS[0]]);
    let (search, mut client) = set_up(&server);
    for name in ["redis:wrong", "redis:gone", "redis:tls", "redis:database"] {
        search.run(&["slowlog", name]);
        search.run(&["throttle", name, "--user", "batch", "--for", "1s", "--yes"]);
        search.run(&["clean", name, "--match", "temp:1*", "-n"]);
    }
    search.run(&["slowlog", "redis:s"]);
    search.run(&["audit", "redis:s"]);
    search.run(&["du", "redis:s"]);
    search.run(&["health", "redis:s"]);
    search.run(&["clean", "redis:s", "--match", "temp:1*", "-n"]);
    search.run(&["expire", "redis:s", "--match", "temp:1*", "--ttl", "1h", "-n"]);
    search.run(&["throttle", "redis:s", "--user", "batch", "--for", "1h", "-n"]);
    search.run(&["throttle", "redis:s", "--user", "batch", "--for", "1s", "--yes"]);
    search.run(&["throttle", "redis:s", "--client", "1", "--for", "1s", "--yes"]);
    search.run(&["unthrottle", "redis:s", "--all"]);
    search.run(&["clean", "redis:s", "--match", "temp:2*", "--yes"]);
    search.run(&["plan", "-o", "plan.json", "clean", "redis:prod", "--match", "temp:3*"]);
    search.run(&["approve", "plan.json", "--yes"]);
    // What is kept for an undo are values, in a file that is compressed; they are larder's to keep.
    search.run(&["apply", "plan.json", "--no-backup"]);
    for args in [
        &["status"][..],
        &["watch", "--once"],
        &["events"],
        &["alerts"],
        &["plans"],
        &["trash"],
        &["config", "show"],
        &["config", "check"],
        &["slowlog", &format!("redis://:{}@127.0.0.1", SECRETS[0])],
        &["throttle", &format!("redis://u:{}@127.0.0.1", SECRETS[0]), "--user", "x", "--for", "1s"],
        &["unthrottle", &format!("redis://u:{}@127.0.0.1", SECRETS[0]), "--all"],
    ] {
        search.run(args);
    }
    search.files();

    // While a limit is in force, and after a crash in the middle of it.
    let mut child = std::process::Command::new(&*LARDER)
        .args(["throttle", "redis:s", "--user", "batch", "--for", "1h", "--yes", "-v"])
        .env_clear()
        .env("HOME", search.home.path())
        .env("XDG_CONFIG_HOME", search.home.path().join("config"))
        .env("XDG_STATE_HOME", search.home.path().join("state"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let end = Instant::now() + Duration::from_secs(30);
    while !String::from_utf8(client.ask(&["ACL", "LIST"]).list().concat())
        .unwrap()
        .contains("-keys")
    {
        assert!(Instant::now() < end, "nobody is limited");
        std::thread::sleep(Duration::from_millis(20));
    }
    search.files();
    // The command line of a process is everybody's to read.
    let line = std::fs::read(format!("/proc/{}/cmdline", child.id())).unwrap();
    assert!(!String::from_utf8(line).unwrap().contains(SECRETS[0]));
    child.kill().unwrap();
    let output = child.wait_with_output().unwrap();
    search.told(&search.home.ran(output));
    search.run(&["throttle", "redis:s", "--list"]);
    search.run(&["unthrottle", "redis:s", "--user", "batch"]);
    search.files();
}
