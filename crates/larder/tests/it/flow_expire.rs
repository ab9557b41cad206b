//! Keys of a Redis from outside: given a time to live, pruned by rules, killed in the middle,
//! resumed as it was approved, brought back; and where the memory is.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use larder_testkit::{RedisClient, RedisServer};
use serde_json::Value;

use crate::Home;
use crate::flow::valid;

/// A home whose settings name this server twice, once as production, each with rules.
fn home(server: &RedisServer) -> Home {
    let home = Home::new();
    let url = server.url();
    home.write(
        "config/larder/config.toml",
        &format!(
            "[redis.sessions]\nurl = \"{url}/0\"\n\
             [[redis.sessions.clean]]\nmatch = \"temp:*\"\nexclude = \"temp:9*\"\n\
             [[redis.sessions.clean]]\nmatch = \"job:*\"\ntype = \"hash\"\npersistent = true\n\n\
             [redis.prod]\nurl = \"{url}/0\"\nprofile = \"production\"\n\
             [[redis.prod.clean]]\nmatch = \"temp:*\"\n"
        ),
    );
    home
}

/// Names with every byte, some with a time to live.
fn fill(client: &mut RedisClient, count: u32) {
    let key = |n: u32| -> Vec<Vec<u8>> {
        let byte = u8::try_from(n % 256).unwrap();
        let key = [b"temp:".as_slice(), n.to_string().as_bytes(), &[byte, b'\r', b'\n']].concat();
        let mut command = vec![b"SET".to_vec(), key, n.to_string().into_bytes()];
        if n.is_multiple_of(4) {
            command.extend([b"EX".to_vec(), b"90000".to_vec()]);
        }
        command
    };
    client.ask_all(&(0..count).map(key).collect::<Vec<_>>());
    let keep = |n: u32| vec!["SET".to_owned(), format!("keep:{n}"), "x".to_owned()];
    client.ask_all(&(0..50).map(keep).collect::<Vec<_>>());
}

fn persistent(client: &mut RedisClient) -> usize {
    client.keyspace().values().filter(|(_, end)| *end == -1).count()
}

fn start(home: &Home, args: &[&str]) -> Child {
    std::process::Command::new(&*crate::flow::LARDER)
        .args(args)
        .current_dir(home.path())
        .env_clear()
        .env("HOME", home.path())
        .env("XDG_CONFIG_HOME", home.path().join("config"))
        .env("XDG_STATE_HOME", home.path().join("state"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn wait(what: &str, mut until: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !until() {
        assert!(Instant::now() < end, "{what} does not come about");
        std::thread::sleep(Duration::from_millis(3));
    }
}

fn signal(child: &Child, name: &str) {
    let words = [name.to_owned(), child.id().to_string()];
    assert!(std::process::Command::new("kill").args(words).status().unwrap().success());
}

#[test]
fn keys_are_given_a_time_to_live_and_it_is_taken_back() {
    let server = RedisServer::start();
    let mut client = server.client();
    fill(&mut client, 800);
    let before = client.keyspace();
    let home = home(&server);
    let expire =
        ["expire", "redis:sessions", "--match", "temp:*", "--ttl", "24h", "--jitter", "10%"];
    home.run(&expire).ends(3);
    let plan = home.document("plan/1", 0, &[&expire[..], &["--only-persistent", "-n"]].concat());
    assert_eq!(plan["items"][0]["expire"]["ttl_seconds"], 86_400);
    assert_eq!(plan["items"][0]["expire"]["jitter"], 0.1);
    assert_eq!(
        (&plan["items"][0]["keys"], &plan["items"][0]["persistent"]),
        (&600.into(), &true.into())
    );
    let seen = home.run(&[&expire[..], &["-n"]].concat());
    assert!(seen.ends(0).out.contains("They would get a TTL of 24h ± 10 %."), "{}", seen.out);
    assert!(
        seen.out.ends_with("Nothing was changed. Run without -n to change it.\n"),
        "{}",
        seen.out
    );
    assert!(client.holds(&before), "a preview changed something");

    let done = home.document(
        "outcome/1",
        0,
        &[&expire[..], &["--persistent", "--yes", "--backup"]].concat(),
    );
    assert_eq!(done["changed"], serde_json::json!({ "keys": 600, "unchanged": 0 }));
    assert_eq!((&done["removed"]["keys"], &done["redis"][0]["changed"]), (&0.into(), &600.into()));
    assert_eq!(persistent(&mut client), 50);
    let id = done["trash_id"].as_str().unwrap();
    let back = home.run(&["trash", "restore", id]);
    assert!(back.ends(0).out.starts_with("Restored the TTL of 600 keys"), "{}", back.out);
    assert!(client.holds(&before), "not every key has its earlier end");

    let later = home.document("outcome/1", 0, &[&expire[..], &["--gt", "--yes"]].concat());
    assert_eq!(
        later["changed"]["keys"].as_u64().unwrap()
            + later["changed"]["unchanged"].as_u64().unwrap(),
        800
    );
    assert_eq!(later["trash_id"], Value::Null);
    assert_eq!(persistent(&mut client), 650, "GT leaves alone what never ends");
}

#[test]
fn in_production_a_time_to_live_takes_an_approved_plan() {
    let server = RedisServer::start();
    let mut client = server.client();
    fill(&mut client, 300);
    let home = home(&server);
    let expire = ["expire", "redis:prod", "--match", "temp:*", "--ttl", "2h"];
    let refused = home.run(&[&expire[..], &["--yes"]].concat());
    assert!(
        refused.ends(3).err.contains("larder plan -o plan.json expire redis:NAME"),
        "{refused:?}"
    );
    let made = home.run(&[&["plan", "-o", "plan.json"], &expire[..]].concat());
    assert!(made.ends(0).err.contains("larder approve plan.json"), "{made:?}");
    home.run(&["apply", "plan.json"]).ends(3);
    let asked = home.run(&["approve", "plan.json"]);
    assert!(
        asked.ends(3).err.contains("Would give a TTL of 2h to 300 keys of redis:prod"),
        "{asked:?}"
    );
    assert!(asked.err.contains("--match 'temp:*' --ttl 2h"), "{asked:?}");
    home.run(&["approve", "plan.json", "--yes"]).ends(0);
    let approved = home.read("plan.json");
    home.write("plan.json", &approved.replace("\"ttl_seconds\": 7200", "\"ttl_seconds\": 1"));
    assert!(home.run(&["apply", "plan.json"]).ends(3).err.contains("changed after"));
    home.write("plan.json", &approved);
    let checked = home.run(&["apply", "plan.json", "-n"]);
    assert!(checked.ends(0).out.ends_with("Nothing was changed. Run without -n to change it.\n"));
    let done = home.document("outcome/1", 0, &["apply", "plan.json"]);
    assert_eq!((&done["changed"]["keys"], persistent(&mut client)), (&300.into(), 50));
    // In production what was there is kept without being asked for.
    let back =
        home.document("restored/1", 0, &["trash", "restore", done["trash_id"].as_str().unwrap()]);
    assert_eq!((&back["restored"], &back["gone"]), (&300.into(), &0.into()));
    assert_eq!(persistent(&mut client), 275);
}

#[test]
fn a_redis_is_pruned_by_its_rules() {
    let server = RedisServer::start();
    let mut client = server.client();
    fill(&mut client, 1000);
    let job = |n: u32| vec!["HSET".to_owned(), format!("job:{n}"), "f".to_owned(), "v".to_owned()];
    client.ask_all(&(0..40).map(job).collect::<Vec<_>>());
    client.ask(&["SET", "job:string", "x"]);
    client.ask(&["EXPIRE", "job:1", "1000"]);
    let home = home(&server);
    let before = client.keyspace();
    home.run(&["prune", "redis:sessions"]).ends(3);
    let plan = home.document("plan/1", 0, &["prune", "redis:sessions", "-n"]);
    let reasons =
        ["temp:* but temp:9*, by the settings", "job:* type hash without TTL, by the settings"];
    // temp:9, temp:90 to 99 and temp:900 to 999 stay, by what follows the number too.
    for (at, (reason, keys)) in reasons.into_iter().zip([889, 39]).enumerate() {
        assert_eq!(plan["items"][at]["reason"], reason);
        assert_eq!(plan["items"][at]["keys"], keys, "{plan:#}");
    }
    let done = home.document("outcome/1", 0, &["prune", "redis:sessions", "--yes", "--trash"]);
    assert_eq!((&done["removed"]["items"], &done["removed"]["keys"]), (&2.into(), &928.into()));
    assert_eq!(done["redis"][1]["pattern"], "job:*");
    let left = client.ask(&["DBSIZE"]).number();
    assert_eq!(left, i64::try_from(before.len()).unwrap() - 928);
    // One entry undoes both rules.
    home.run(&["trash", "restore", done["trash_id"].as_str().unwrap()]).ends(0);
    assert!(client.holds(&before), "not everything came back");

    assert!(home.run(&["prune", "redis:prod", "--yes"]).ends(3).err.contains("approved plan"));
    home.run(&["plan", "-o", "prune.json", "prune", "redis:prod"]).ends(0);
    let asked = home.run(&["approve", "prune.json"]);
    assert!(asked.ends(3).err.contains("  temp:*, by the settings\n"), "{asked:?}");
    home.run(&["approve", "prune.json", "--yes"]).ends(0);
    let done = home.document("outcome/1", 0, &["apply", "prune.json"]);
    assert_eq!(done["removed"]["keys"], 1000);
    assert!(done["trash_id"].is_string(), "{done:#}");
}

#[test]
fn go_and_redis_are_pruned_by_one_command() {
    let server = RedisServer::start();
    let mut client = server.client();
    fill(&mut client, 300);
    let home = home(&server);
    // A build cache with an output that no action names.
    let build = home.path().join("cache/go-build");
    let name = "0b".repeat(32);
    home.write(&format!("cache/go-build/0b/{name}-d"), &"x".repeat(5000));
    home.write(
        "cache/go-build/README",
        "This directory holds cached build artifacts from the Go build system.\n",
    );
    for n in 0..256 {
        std::fs::create_dir_all(build.join(format!("{n:02x}"))).unwrap();
    }
    let gocache = build.to_str().unwrap();
    let prune = ["prune", "build", "redis:sessions", "--protect", "0s", "--gocache", gocache];
    let plan = home.document("plan/1", 0, &[&prune[..], &["-n"]].concat());
    let caches = plan["items"].as_array().unwrap().iter().map(|item| item["cache"].clone());
    let caches: Vec<Value> = caches.collect();
    assert!(
        caches.contains(&"build".into()) && caches.contains(&"redis:sessions".into()),
        "{plan:#}"
    );
    // Nothing goes before the answer.
    home.run(&prune).ends(3);
    assert!(build.join(format!("0b/{name}-d")).exists());
    let done = home.document("outcome/1", 0, &[&prune[..], &["--yes", "--backup"]].concat());
    assert_eq!(
        (&done["removed"]["items"], &done["removed"]["files"]),
        (&3.into(), &1.into()),
        "{done:#}"
    );
    assert_eq!(done["before"].as_array().unwrap().len(), 2);
    assert!(done["trash_id"].is_null() && done["keys_trash_id"].is_string(), "{done:#}");
    assert!(!build.join(format!("0b/{name}-d")).exists());
    let left = done["removed"]["keys"].as_i64().unwrap() + client.ask(&["DBSIZE"]).number();
    assert_eq!(left, 350);
}

#[test]
fn a_daemon_prunes_without_a_question_and_in_production_only_as_approved() {
    use larder_cli::args::GlobalArgs;
    use larder_cli::context::Context;
    use larder_cli::exit::Exit;
    use larder_cli::key_upkeep;
    use larder_cli::printer::Printer;
    use larder_cli::wire_plan::{PlanDoc, PlanFile, file_text};

    let server = RedisServer::start();
    let mut client = server.client();
    fill(&mut client, 200);
    let home = home(&server);
    let settings = home.read("config/larder/config.toml");
    let state = home.path().join("state");
    let config =
        home.write("own.toml", &format!("state = \"{}\"\n{settings}", state.to_str().unwrap()));
    let global = GlobalArgs { config: Some(config), quiet: true, ..GlobalArgs::default() };
    let printer = Printer::new(&global);
    let context = Context::load(&global, &printer, vec!["watch".to_owned()]).unwrap();

    let plan = key_upkeep::prune_plan(&context, "redis:prod").unwrap();
    assert_eq!((plan.keys.len(), plan.keys[0].keys), (1, 200));
    let refused = key_upkeep::check(&context, plan.clone(), None).unwrap_err();
    assert_eq!(refused.exit, Exit::Refused);
    let file = PlanFile::parse(&file_text(&PlanDoc::from(&plan))).unwrap();
    let file = PlanFile::parse(&file.approved(larder_fs::now(), "somebody")).unwrap();
    let checked = key_upkeep::check(&context, plan, Some(&file)).unwrap();
    let (done, exit) = key_upkeep::apply(&context, checked, Some(&file)).unwrap();
    let done = serde_json::to_value(&done).unwrap();
    valid("outcome/1", &done);
    assert_eq!((exit, &done["removed"]["keys"]), (Exit::Done, &200.into()));
    assert!(done["trash_id"].is_string(), "{done:#}");

    // In the dev profile the settings are leave enough, and nothing is kept.
    fill(&mut client, 100);
    let plan = key_upkeep::prune_plan(&context, "redis:sessions").unwrap();
    let checked = key_upkeep::check(&context, plan, None).unwrap();
    let (done, exit) = key_upkeep::apply(&context, checked, None).unwrap();
    let done = serde_json::to_value(&done).unwrap();
    assert_eq!((exit, &done["removed"]["keys"]), (Exit::Done, &89.into()));
    assert_eq!(done["trash_id"], Value::Null);
}

#[test]
fn what_is_resumed_in_production_is_what_was_approved() {
    let server = RedisServer::start();
    let mut client = server.client();
    fill(&mut client, 20_000);
    let before = client.keyspace();
    let home = home(&server);
    home.run(&["plan", "-o", "plan.json", "clean", "redis:prod", "--match", "temp:*"]).ends(0);
    home.run(&["approve", "plan.json", "--yes"]).ends(0);
    let child = start(&home, &["apply", "plan.json", "--json", "--max-rate", "5000"]);
    wait("the first removal", || client.ask(&["DBSIZE"]).number() < 19_000);
    signal(&child, "-INT");
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", String::from_utf8_lossy(&output.stderr));
    let first: Value = serde_json::from_slice(&output.stdout).unwrap();
    valid("outcome/1", &first);

    let folder = home.path().join("state/larder/redis");
    let mut files = std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path());
    let file = files.find(|path| path.to_str().unwrap().contains("resume-")).unwrap();
    let text = std::fs::read_to_string(&file).unwrap();
    let left = client.ask(&["DBSIZE"]).number();
    let resume = ["clean", "redis:prod", "--resume", "--yes"];
    // Another pattern, or no approval at all, is not what was approved.
    for (from, to) in
        [("\"pattern\": \"temp:*\"", "\"pattern\": \"*\""), ("\"approval\": {", "\"other\": {")]
    {
        let edited = text.replacen(from, to, 1);
        assert_ne!(edited, text, "{from} is not there");
        std::fs::write(&file, edited).unwrap();
        let refused = home.run(&resume);
        assert!(
            refused.ends(3).err.contains("hint: what is interrupted in production"),
            "{refused:?}"
        );
        assert_eq!(client.ask(&["DBSIZE"]).number(), left, "something went unapproved");
    }
    std::fs::write(&file, &text).unwrap();
    // It was no expire, and another plan is not it either.
    home.run(&["expire", "redis:prod", "--resume"]).ends(2);
    home.run(&["plan", "-o", "other.json", "clean", "redis:prod", "--match", "temp:*"]).ends(0);
    home.run(&["approve", "other.json", "--yes"]).ends(0);
    let other = home.run(&["apply", "other.json", "--resume"]);
    assert!(other.ends(2).err.contains("was another plan"), "{other:?}");
    let second = home.document("outcome/1", 0, &resume);
    let removed = |done: &Value| done["removed"]["keys"].as_u64().unwrap();
    assert_eq!(removed(&first) + removed(&second), 20_000);
    assert_eq!(client.ask(&["DBSIZE"]).number(), 50);
    home.run(&resume).ends(2);
    for done in [&second, &first] {
        home.run(&["trash", "restore", done["trash_id"].as_str().unwrap()]).ends(0);
    }
    assert!(client.holds(&before), "not everything came back");
}

/// How often the server was sent this command.
fn calls(client: &mut RedisClient, command: &str) -> u64 {
    let stats = client.ask(&["INFO", "commandstats"]).text();
    let line = stats.split_once(&format!("cmdstat_{command}:calls=")).map_or("0", |(_, rest)| rest);
    line.split(',').next().unwrap().parse().unwrap()
}

#[test]
fn after_a_kill_in_the_middle_it_goes_on_and_all_of_it_comes_back() {
    let server = RedisServer::start();
    let mut client = server.client();
    let home = home(&server);
    let words: [(&[&str], &[&str]); 2] = [
        (
            &[
                "clean",
                "redis:sessions",
                "--match",
                "temp:*",
                "--yes",
                "--backup",
                "--max-rate",
                "6000",
            ],
            &["clean", "redis:sessions", "--resume", "--yes", "--backup"],
        ),
        (
            &[
                "expire",
                "redis:sessions",
                "--match",
                "temp:*",
                "--ttl",
                "1h",
                "--yes",
                "--backup",
                "--max-rate",
                "6000",
            ],
            &["expire", "redis:sessions", "--resume", "--yes", "--backup"],
        ),
    ];
    for (begin, resume) in words {
        client.ask(&["FLUSHALL"]);
        fill(&mut client, 12_000);
        let before = client.keyspace();
        client.ask(&["CONFIG", "RESETSTAT"]);
        let mut child = start(&home, begin);
        // Some way into it, at whatever moment that is.
        wait("the middle", || {
            client.ask(&["DBSIZE"]).number() < 9_500 || calls(&mut client, "pexpireat") > 2_500
        });
        child.kill().unwrap();
        child.wait().unwrap();
        let second = home.document("outcome/1", 0, resume);
        assert!(second["interrupted"] == false && second["failed"] == Value::Array(Vec::new()));
        let left = client.keyspace();
        let untouched =
            left.iter().filter(|(key, now)| key.starts_with(b"temp:") && before[*key] == **now);
        assert_eq!(untouched.count(), 0, "{} left something out", begin[0]);
        assert!(left.keys().filter(|key| key.starts_with(b"keep:")).count() == 50);
        let trash = home.document("trash/1", 0, &["trash"]);
        let entries = trash["entries"].as_array().unwrap();
        assert_eq!(entries.len(), 2, "{trash:#}");
        // The latest first, as the list has them.
        for entry in entries {
            home.run(&["trash", "restore", entry["id"].as_str().unwrap()]).ends(0);
        }
        assert!(client.holds(&before), "{}: not everything is as it was", begin[0]);
    }
}

#[test]
fn du_tells_where_the_memory_is() {
    let server = RedisServer::start();
    let mut client = server.client();
    fill(&mut client, 500);
    let home = home(&server);
    let by_prefix = home.document("du/1", 0, &["du", "redis:sessions"]);
    let row = &by_prefix["rows"][0];
    assert_eq!((&row["cache"], &row["files"]), (&"redis:sessions".into(), &Value::Null));
    assert_eq!(row["logical_bytes"], row["low_bytes"], "few keys are counted: {row:#}");
    assert_eq!(by_prefix["total"]["keys"], 550);
    assert_eq!(by_prefix["own_hits"], 0);
    for (by, key, keys) in
        [("type", "string", 550), ("ttl", "no TTL", 425), ("encoding", "int", 500)]
    {
        let report = home.document("du/1", 0, &["du", "redis:sessions", "--by", by]);
        let row = report["rows"].as_array().unwrap().iter().find(|row| row["key"] == key).unwrap();
        assert_eq!(row["keys"], keys, "{report:#}");
        assert_eq!(report["own_hits"], 550);
    }
    let one = home.document("du/1", 0, &["du", "redis:sessions", "--by", "slot", "--top", "1"]);
    assert_eq!(one["rows"].as_array().unwrap().len(), 1);
    assert!(one["omitted"].as_u64().unwrap() > 100);
    let screen = home.run(&["du", "redis:sessions", "--by", "ttl"]);
    assert!(screen.ends(0).out.contains("The server counted 550 hits for it"), "{}", screen.out);
    for args in [
        &["du", "redis:sessions", "--by", "kind"][..],
        &["du", "build", "--by", "ttl"],
        &["du", "redis:sessions", "build"],
    ] {
        home.run(args).ends(2);
    }
}
