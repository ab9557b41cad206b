//! Servers that are lost, replaced, or hand their slots on while keys are changed: whatever was
//! meant is done in the end, and nothing is lost.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use larder_core::KeyChange;
use larder_redis::{
    ChangeOptions, Changed, Deployment, Endpoint, Limits, Undo, UndoReader, Work, change,
    restore_keys,
};
use larder_testkit::{Answer, RedisClient, RedisCluster, RedisProgram, RedisServer, free_port};

use crate::undo::store;
use crate::{endpoint, matching};

/// Key, payload of `DUMP` and end of every key of some servers.
type All = BTreeMap<Vec<u8>, (Vec<u8>, i64)>;

fn wait(what: &str, mut until: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_mins(1);
    while !until() {
        assert!(Instant::now() < end, "{what} does not come about");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn all(nodes: &[RedisServer]) -> All {
    nodes.iter().flat_map(|node| node.client().keyspace()).collect()
}

/// Whether both are the same; MIGRATE moves an end by some milliseconds.
fn held(now: &All, before: &All) {
    let gone: Vec<_> = before.keys().filter(|key| !now.contains_key(*key)).take(5).collect();
    let new: Vec<_> = now.keys().filter(|key| !before.contains_key(*key)).take(5).collect();
    assert!(gone.is_empty() && new.is_empty(), "{gone:?} are gone, {new:?} are new");
    for (key, (dump, end)) in now {
        let (was, ended) = &before[key];
        assert!(dump == was && (end - ended).abs() < 1000, "{key:?}: {ended} to {end}");
    }
}

/// Puts keys to where they belong: of every byte, with and without a time to live.
fn put(found: &Deployment, prefix: &str, count: u32) {
    let mut commands: BTreeMap<u16, Vec<Vec<Vec<u8>>>> = BTreeMap::new();
    for n in 0..count {
        let byte = u8::try_from(n % 256).unwrap();
        let key =
            [prefix.as_bytes(), b":", n.to_string().as_bytes(), &[byte, b'\n', b' ']].concat();
        let port = found.node_of(&key).unwrap().address().rsplit_once(':').unwrap().1;
        let mut command = vec![b"SET".to_vec(), key, n.to_string().into_bytes()];
        if n % 3 == 0 {
            command.extend([b"EX".to_vec(), b"90000".to_vec()]);
        }
        commands.entry(port.parse().unwrap()).or_default().push(command);
    }
    for (port, commands) in commands {
        for answer in RedisClient::connect(port).ask_all(&commands) {
            assert_eq!(answer.text(), "OK");
        }
    }
}

fn options<'a>(
    selection: &'a larder_redis::Selection,
    rate: u64,
    undo: Option<&'a dyn Undo>,
) -> ChangeOptions<'a> {
    ChangeOptions {
        selection,
        change: KeyChange::Remove,
        limits: Limits { keys_per_second: Some(rate), ..Limits::default() },
        scan_replica: false,
        undo,
        resume: &[],
    }
}

/// Cleans, and does something else once so many keys are gone.
fn clean_while(
    found: &Deployment,
    options: ChangeOptions<'_>,
    after: u64,
    meanwhile: impl FnOnce(),
) -> Changed {
    let work = Work::default();
    std::thread::scope(|scope| {
        let changer = scope.spawn(|| change(found, options, &work, &|_| ()));
        wait("the first removal", || {
            work.changed.load(std::sync::atomic::Ordering::Relaxed) >= after
                || changer.is_finished()
        });
        assert!(!changer.is_finished(), "it was over before anything happened");
        meanwhile();
        changer.join().unwrap()
    })
}

fn bring(found: &Deployment, path: &std::path::Path) -> larder_redis::KeysRestored {
    let mut reader = UndoReader::open(path).unwrap();
    restore_keys(found, &mut reader, false, &|| false).unwrap()
}

#[test]
fn what_went_from_a_cluster_comes_back_also_by_parts() {
    let mut cluster = RedisCluster::start();
    let found = Deployment::discover(&endpoint(&cluster.nodes[0])).unwrap();
    put(&found, "temp", 900);
    put(&found, "keep", 60);
    let before = all(&cluster.nodes);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keys");
    let store = store(&cluster.nodes[0], &path);
    let selection = matching("temp:*");
    let done =
        change(&found, options(&selection, 1 << 20, Some(&store)), &Work::default(), &|_| ());
    assert_eq!((done.changed(), done.complete()), (900, true), "{done:?}");
    assert_eq!(store.finish().unwrap().0, 900);

    // A node is down: the others get what is theirs, and it is told who did not.
    let lost = cluster.nodes[2].port();
    cluster.nodes[2].kill();
    let first = bring(&found, &path);
    assert!(!first.complete() && first.restored > 400 && first.restored < 900, "{first:?}");
    let [(who, why)] = first.failed.as_slice() else { panic!("{first:?}") };
    assert_eq!(String::from_utf8_lossy(who), format!("127.0.0.1:{lost}"));
    assert!(why.contains(&format!("that wait for it: {}", 900 - first.restored)), "{why}");

    cluster.nodes[2].restart();
    let node = &cluster.nodes[2];
    wait("the cluster", || {
        node.client().ask(&["CLUSTER", "INFO"]).text().contains("cluster_state:ok")
    });
    let second = bring(&found, &path);
    assert_eq!((second.restored, second.complete()), (900, true), "{second:?}");
    // What was kept in memory alone is gone with that node.
    let mut expected = before;
    expected.retain(|key, _| {
        key.starts_with(b"temp:")
            || found.node_of(key).unwrap().address() != format!("127.0.0.1:{lost}")
    });
    held(&all(&cluster.nodes), &expected);
}

/// Hands a slot on, keys and all; `finish` is whether the cluster is told in the end.
fn hand_on(from: &RedisServer, to: &RedisServer, slot: u16, finish: bool) {
    let (mut a, mut b) = (from.client(), to.client());
    let (a_id, b_id) = (a.ask(&["CLUSTER", "MYID"]).text(), b.ask(&["CLUSTER", "MYID"]).text());
    let slot = slot.to_string();
    assert_eq!(b.ask(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &a_id]).text(), "OK");
    assert_eq!(a.ask(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &b_id]).text(), "OK");
    let (port, mut some) = (to.port().to_string(), true);
    while some {
        let keys = a.ask(&["CLUSTER", "GETKEYSINSLOT", &slot, "10"]).list();
        for key in &keys {
            let words: Vec<&[u8]> =
                vec![b"MIGRATE", b"127.0.0.1", port.as_bytes(), key, b"0", b"5000"];
            // Gone meanwhile is as good.
            let said = a.ask(&words).text();
            assert!(said == "OK" || said == "NOKEY", "{said}");
        }
        some = !keys.is_empty();
    }
    if finish {
        for node in [&mut b, &mut a] {
            assert_eq!(node.ask(&["CLUSTER", "SETSLOT", &slot, "NODE", &b_id]).text(), "OK");
        }
    }
}

#[test]
fn slots_that_are_handed_on_meanwhile_are_followed() {
    let cluster = RedisCluster::start();
    for kept in [false, true] {
        let found = Deployment::discover(&endpoint(&cluster.nodes[0])).unwrap();
        put(&found, "temp", 6000);
        put(&found, "keep", 300);
        let before = all(&cluster.nodes);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys");
        let store = store(&cluster.nodes[0], &path);
        let undo = kept.then_some(&store as &dyn Undo);
        // One whole range of the first node goes to the second while both are gone through, one
        // more slot only half of the way.
        let slots = if kept { 400..=700_u16 } else { 0..=300 };
        let selection = matching("temp:*");
        let done = clean_while(&found, options(&selection, 3000, undo), 300, || {
            for slot in slots.clone() {
                hand_on(&cluster.nodes[0], &cluster.nodes[1], slot, true);
            }
            hand_on(&cluster.nodes[0], &cluster.nodes[2], slots.end() + 1, false);
        });
        assert!(done.complete(), "{done:?}");
        assert!(done.nodes.iter().all(|node| node.error.is_none()), "{done:?}");
        let left: Vec<Vec<u8>> = cluster
            .nodes
            .iter()
            .flat_map(|node| node.client().ask(&["KEYS", "*"]).list())
            .collect();
        let temp: Vec<_> = left.iter().filter(|key| key.starts_with(b"temp:")).collect();
        assert!(temp.is_empty(), "{} were met by nobody: {temp:?}", temp.len());
        assert_eq!(left.len(), 300, "something else went");
        assert_eq!(done.changed(), 6000, "{done:?}");
        if kept {
            assert_eq!(store.finish().unwrap().0, 6000);
            // By the map of before: what has moved since, or is about to, is sent after its slot.
            let back = bring(&found, &path);
            assert!(back.complete() && back.restored == 6000, "{back:?}");
        }
        // Ends what was left half done.
        hand_on(&cluster.nodes[0], &cluster.nodes[2], slots.end() + 1, true);
        if kept {
            held(&all(&cluster.nodes), &before);
        }
        for node in &cluster.nodes {
            node.client().ask(&["FLUSHALL"]);
        }
        wait("what the cluster knows of the moves", || {
            Deployment::discover(&endpoint(&cluster.nodes[2]))
                .unwrap()
                .node_of_slot(slots.end() + 1)
                .is_some_and(|node| node.address().ends_with(&cluster.nodes[2].port().to_string()))
        });
    }
}

#[test]
fn a_replica_of_a_cluster_takes_over_and_is_gone_through() {
    let mut cluster = RedisCluster::start();
    let replica = RedisServer::with(&[
        "--cluster-enabled",
        "yes",
        "--cluster-node-timeout",
        "2000",
        "--cluster-require-full-coverage",
        "no",
    ]);
    let master = cluster.nodes[0].client().ask(&["CLUSTER", "MYID"]).text();
    let first = cluster.nodes[0].port().to_string();
    let mut client = replica.client();
    client.ask(&["CLUSTER", "MEET", "127.0.0.1", &first]);
    wait("the meeting", || client.ask(&["CLUSTER", "REPLICATE", &master]).text() == "OK");
    wait("the replica", || {
        client.ask(&["INFO", "replication"]).text().contains("master_link_status:up")
    });
    let seed = endpoint(&cluster.nodes[1]);
    wait("a word of it", || {
        let found = Deployment::discover(&seed).unwrap();
        found.nodes.iter().any(|node| !node.replicas.is_empty())
    });
    let found = Deployment::discover(&seed).unwrap();
    put(&found, "temp", 9000);
    put(&found, "keep", 90);
    wait("replication", || {
        client.ask(&["DBSIZE"]).number() == cluster.nodes[0].client().ask(&["DBSIZE"]).number()
    });
    let before = all(&cluster.nodes);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keys");
    let store = store(&cluster.nodes[1], &path);
    let selection = matching("temp:*");
    let done = clean_while(&found, options(&selection, 3000, Some(&store)), 300, || {
        cluster.nodes[0].kill();
    });
    assert!(done.complete(), "{done:?}");
    assert_eq!(done.nodes.iter().map(|node| node.restarts).sum::<u32>(), 1, "{done:?}");
    store.finish().unwrap();
    cluster.nodes[0] = replica;
    let left = all(&cluster.nodes);
    assert!(left.keys().all(|key| key.starts_with(b"keep:")), "{} are left", left.len());
    let now = Deployment::discover(&seed).unwrap();
    let back = bring(&now, &path);
    assert!(back.complete() && back.whole, "{back:?}");
    held(&all(&cluster.nodes), &before);
}

/// A Sentinel that watches one master alone.
struct Sentinel {
    child: Child,
    port: u16,
    _dir: tempfile::TempDir,
}

impl Sentinel {
    fn of(master: &RedisServer) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (port, path): (u16, PathBuf) = (free_port(), dir.path().join("sentinel.conf"));
        let text = format!(
            "port {port}\nbind 127.0.0.1\ndir {}\nsentinel monitor main 127.0.0.1 {} 1\n\
             sentinel down-after-milliseconds main 500\nsentinel failover-timeout main 30000\n",
            dir.path().display(),
            master.port()
        );
        std::fs::write(&path, text).unwrap();
        let child = Command::new(&RedisProgram::here().path)
            .arg(path)
            .arg("--sentinel")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the Sentinel starts");
        let sentinel = Self { child, port, _dir: dir };
        wait("the Sentinel", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
        sentinel
    }

    fn knows_a_replica(&self) -> bool {
        let answer = RedisClient::connect(self.port).ask(&["SENTINEL", "REPLICAS", "main"]);
        matches!(answer, Answer::List(replicas) if !replicas.is_empty())
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_sentinel_tells_who_the_master_is_after_a_failover() {
    let mut master = RedisServer::with(&["--appendonly", "yes"]);
    let port = master.port().to_string();
    let replica = RedisServer::with(&["--replicaof", "127.0.0.1", &port]);
    let sentinel = Sentinel::of(&master);
    wait("the replica", || sentinel.knows_a_replica());
    let place = Endpoint::parse(&format!("redis://127.0.0.1:{}", sentinel.port)).unwrap();
    let found = Deployment::discover(&place).unwrap();
    assert_eq!(found.nodes[0].address(), format!("127.0.0.1:{port}"));
    put(&found, "temp", 12_000);
    put(&found, "keep", 90);
    wait("replication", || replica.client().ask(&["DBSIZE"]).number() == 12_090);
    let before = master.client().keyspace();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keys");
    let store = store(&master, &path);
    let selection = matching("temp:*");
    let done = clean_while(&found, options(&selection, 4000, Some(&store)), 500, || {
        master.kill();
        // A Sentinel ends the connections of whom it promotes.
        wait("the failover", || {
            let found = Deployment::discover(&endpoint(&replica));
            found.is_ok_and(|found| found.nodes[0].follows.is_none())
        });
        // The old one comes back and takes itself for the master for a while.
        master.restart();
    });
    assert!(done.complete() && done.nodes[0].error.is_none(), "{done:?}");
    assert!(done.nodes[0].restarts > 0, "{done:?}");
    store.finish().unwrap();
    // Whoever is the master in the end, and that is for the Sentinel to say.
    let now = Deployment::discover(&place).unwrap();
    assert_eq!(done.nodes[0].address, now.nodes[0].address());
    let server = if now.nodes[0].address().ends_with(&port) { &master } else { &replica };
    let left = server.client().keyspace();
    assert!(left.keys().all(|key| key.starts_with(b"keep:")), "{} are left", left.len());
    assert_eq!(left.len(), 90);
    let back = bring(&now, &path);
    assert!(back.complete() && back.whole, "{back:?}");
    held(&server.client().keyspace(), &before);
}

#[test]
fn a_server_without_memory_loses_nothing_that_was_kept() {
    let server = RedisServer::start();
    let found = Deployment::discover(&endpoint(&server)).unwrap();
    put(&found, "temp", 3000);
    let mut client = server.client();
    let before = client.keyspace();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keys");
    let store = store(&server, &path);
    let selection = matching("temp:*");
    // Removing needs no memory.
    client.ask(&["CONFIG", "SET", "maxmemory", "1"]);
    let done =
        change(&found, options(&selection, 1 << 20, Some(&store)), &Work::default(), &|_| ());
    assert_eq!((done.changed(), done.complete()), (3000, true), "{done:?}");
    store.finish().unwrap();
    // Some room, and not enough.
    let used: u64 = {
        let info = client.ask(&["INFO", "memory"]).text();
        let line = info.lines().find_map(|line| line.strip_prefix("used_memory:"));
        line.unwrap().trim().parse().unwrap()
    };
    client.ask(&["CONFIG", "SET", "maxmemory", &(used + 150_000).to_string()]);
    let first = bring(&found, &path);
    assert!(!first.complete(), "{first:?}");
    let stopped = first.stopped.as_ref().unwrap().to_string();
    assert!(stopped.contains("is out of memory"), "{stopped}");
    assert!(first.restored > 0 && first.restored < 3000 && first.failed.is_empty(), "{first:?}");
    client.ask(&["CONFIG", "SET", "maxmemory", "0"]);
    let second = bring(&found, &path);
    assert!(second.complete() && second.restored == 3000, "{second:?}");
    held(&client.keyspace(), &before);
}
