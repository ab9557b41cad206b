//! Files for other systems, each held against the program that reads it.

use std::path::Path;
use std::process::{Command, Output};

use larder_testkit::Alertmanager;
use serde_json::Value;

use crate::Home;

/// Exports one kind into a folder of its name.
fn exported(kind: &str) -> Home {
    let home = Home::new();
    home.run(&["export", kind, kind]).ends(0);
    home
}

/// Runs a program that has to be there.
fn run(program: &str, args: &[&str], dir: &Path) -> Output {
    Command::new(program)
        .args(args)
        .current_dir(dir)
        .env("XDG_RUNTIME_DIR", dir)
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error} (scripts/test installs it)"))
}

#[track_caller]
fn accepts(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let said = text(&output.stdout) + &text(&output.stderr);
    assert!(output.status.success(), "{said}");
    said
}

/// The documents of a YAML file.
pub(crate) fn yaml(text: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(text).unwrap_or_else(|error| panic!("{error}:\n{text}"))
}

#[test]
fn rules_are_good_rules_and_do_what_their_tests_say() {
    let home = exported("rules");
    let dir = home.path().join("rules");
    let promtool = |args: &[&str]| accepts(&run("promtool", args, &dir));
    promtool(&["check", "rules", "alerts/larder.yaml", "rules/larder.yaml"]);
    assert!(promtool(&["test", "rules", "tests/larder_test.yaml"]).contains("SUCCESS"));
    promtool(&["check", "config", "prometheus/scrape.yaml"]);
    accepts(&run("amtool", &["check-config", "alertmanager/alertmanager.yaml"], &dir));
    // The tests can fail: each of these changes is seen.
    let alerts = home.read("rules/alerts/larder.yaml");
    for (from, to) in [
        ("< 85", "< 80"),
        ("< 70", "< 60"),
        ("for: 15m", "for: 5m"),
        ("24 * 3600", "36 * 3600"),
        ("keep_firing_for: 5m", "keep_firing_for: 1m"),
        ("1.2 *", "2 *"),
    ] {
        assert!(alerts.contains(from), "{from}");
        home.write("rules/alerts/larder.yaml", &alerts.replace(from, to));
        let output = run("promtool", &["test", "rules", "tests/larder_test.yaml"], &dir);
        assert!(!output.status.success(), "{to} in place of {from} went unseen");
    }
}

#[test]
fn a_disk_that_is_nearly_full_hides_no_other_disk() {
    let home = exported("rules");
    let manager = Alertmanager::with(&home.read("rules/alertmanager/alertmanager.yaml"));
    let disks = [("/", "critical"), ("/", "warning"), ("/srv/go", "warning")];
    for (mount, severity) in disks {
        let (mount, severity) = (format!("mountpoint={mount}"), format!("severity={severity}"));
        manager.amtool(&["alert", "add", "alertname=DiskFillsUp", "instance=a", &mount, &severity]);
    }
    let told: Value = serde_json::from_str(&manager.get("/api/v2/alerts")).unwrap();
    let mut states: Vec<(&str, &str, &str)> = told
        .as_array()
        .unwrap()
        .iter()
        .map(|alert| {
            let label = |name: &str| alert["labels"][name].as_str().unwrap();
            (label("mountpoint"), label("severity"), alert["status"]["state"].as_str().unwrap())
        })
        .collect();
    states.sort_unstable();
    // Not yet looked at is as good as active.
    let hidden: Vec<_> = states.iter().map(|one| (one.0, one.1, one.2 == "suppressed")).collect();
    let expected =
        [("/", "critical", false), ("/", "warning", true), ("/srv/go", "warning", false)];
    assert_eq!(hidden, expected);
}

#[test]
fn a_file_that_somebody_changed_is_left() {
    let home = exported("cron");
    // The same again is no change.
    home.run(&["export", "cron", "cron"]).ends(0);
    std::fs::remove_file(home.path().join("cron/larder.plist")).unwrap();
    home.write("cron/larder.crontab", "mine\n");
    let refused = home.run(&["export", "cron", "cron"]);
    refused.ends(3);
    assert!(refused.err.contains("cron/larder.crontab"), "{}", refused.err);
    assert!(!home.path().join("cron/larder.plist").exists(), "all or nothing");
    assert_eq!(home.read("cron/larder.crontab"), "mine\n");
    let forced = home.run(&["export", "cron", "cron", "--force", "--json"]);
    assert_eq!(forced.ends(0).json()["files"].as_array().unwrap().len(), 3);
    assert!(home.read("cron/larder.crontab").contains("watch --once"));
}

#[test]
fn runbooks_are_where_they_are_published() {
    let home = Home::new();
    let url = "https://example.test/larder/";
    home.run(&["export", "rules", "r", "--runbooks", url]).ends(0);
    home.run(&["export", "dashboards", "d", "--runbooks", url]).ends(0);
    let alerts = home.read("r/alerts/larder.yaml");
    assert!(alerts.contains("runbook_url: 'https://example.test/larder/LarderDown.md'"));
    accepts(&run("promtool", &["test", "rules", "r/tests/larder_test.yaml"], home.path()));
    assert!(home.read("d/larder-overview.json").contains("https://example.test/larder/${__value"));
}

#[test]
#[cfg(target_os = "linux")]
fn units_are_accepted_by_systemd_and_may_do_little() {
    let home = Home::new();
    let larder = assert_cmd::cargo::cargo_bin("larder");
    let cache = home.path().join("a place/50%/go-build");
    let args = ["export", "systemd", "systemd", "--gocache", cache.to_str().unwrap(), "--program"];
    home.run(&[&args[..], &[larder.to_str().unwrap()]].concat()).ends(0);
    let service = home.read("systemd/system/larder.service");
    let root = home.path().display();
    for line in [
        format!("ReadWritePaths=\"-{root}/a place/50%%\""),
        format!("ReadWritePaths=-{root}/go/pkg"),
        format!("ReadWritePaths={root}/state/larder"),
        format!("Environment=\"GOCACHE={root}/a place/50%%/go-build\""),
        format!("ExecStart={} serve --listen 127.0.0.1:8000", larder.display()),
    ] {
        assert!(service.lines().any(|have| have == line), "{line} is not in\n{service}");
    }
    assert!(home.read("systemd/user/larder.service").contains("\nPrivateUsers=yes\n"));
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        return;
    }
    let dir = home.path().join("systemd");
    for (manager, folder) in [("--system", "system"), ("--user", "user")] {
        let units = ["larder.service", "larder-once.service", "larder-once.timer"]
            .map(|unit| format!("{folder}/{unit}"));
        let mut args = vec![manager, "verify", "--man=no"];
        args.extend(units.iter().map(String::as_str));
        assert_eq!(accepts(&run("systemd-analyze", &args, &dir)), "");
    }
    // 2.0 of 10: systemd calls everything below 5 fit.
    let args = ["security", "--offline=true", "--threshold=20", "system/larder.service"];
    assert!(accepts(&run("systemd-analyze", &args, &dir)).contains("Overall exposure level"));
}

#[test]
#[cfg(unix)]
fn schedules_run_the_program_that_was_named() {
    let home = Home::new();
    home.run(&["export", "cron", "cron", "--program", "/opt/R&D tools/larder"]).ends(0);
    let line = home.read("cron/larder.crontab");
    let line = line.lines().find(|line| !line.starts_with('#')).unwrap();
    let (fields, command) = line.split_at(line.match_indices(' ').nth(4).unwrap().0);
    assert_eq!(fields.split(' ').count(), 5);
    assert_eq!(command.trim(), "'/opt/R&D tools/larder' watch --once --quiet");
    let script = "\
import plistlib, sys, xml.etree.ElementTree as tree
agent = plistlib.load(open('cron/larder.plist', 'rb'))
print(agent['Label'], agent['ProgramArguments'], agent['StartCalendarInterval'])
task = tree.parse('cron/larder-task.xml').getroot()
print(task.find('.//{*}Command').text, task.find('.//{*}Arguments').text)
";
    let said = accepts(&run("python3", &["-c", script], home.path()));
    assert_eq!(
        said,
        "larder ['/opt/R&D tools/larder', 'watch', '--once'] {'Hour': 3, 'Minute': 7}\n\
         /opt/R&D tools/larder watch --once --quiet\n"
    );
}

#[test]
fn manifests_keep_what_they_promise() {
    let home = Home::new();
    let image = "example.test/tools/larder:1.2";
    home.run(&["export", "kubernetes", "k", "--image", image]).ends(0);
    let listed = yaml(&home.read("k/kustomization.yaml"));
    let mut kinds = Vec::new();
    for name in listed[0]["resources"].as_array().unwrap() {
        for manifest in yaml(&home.read(&format!("k/{}", name.as_str().unwrap()))) {
            kinds.push(manifest["kind"].as_str().unwrap().to_owned());
            for pointer in ["/spec/template/spec", "/spec/jobTemplate/spec/template/spec"] {
                if let Some(pod) = manifest.pointer(pointer) {
                    pod_may_do_little(pod, image);
                }
            }
            if let Some(settings) = manifest["data"]["config.toml"].as_str() {
                home.write("password", "x");
                home.write("config.toml", settings);
                home.run(&["--config", "config.toml", "config", "check"]).ends(0);
                assert!(settings.contains("[schedule]"), "a daemon has a rhythm: {settings}");
            }
        }
    }
    kinds.sort();
    let expected = [
        "ConfigMap",
        "ConfigMap",
        "CronJob",
        "DaemonSet",
        "Deployment",
        "NetworkPolicy",
        "NetworkPolicy",
        "ServiceAccount",
    ];
    assert_eq!(kinds, expected);
}

fn pod_may_do_little(pod: &Value, image: &str) {
    assert_eq!(pod["automountServiceAccountToken"], false);
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    let mounted: Vec<&Value> =
        pod["volumes"].as_array().unwrap().iter().map(|volume| &volume["name"]).collect();
    for container in pod["containers"].as_array().unwrap() {
        let rights = &container["securityContext"];
        assert_eq!(rights["readOnlyRootFilesystem"], true);
        assert_eq!(rights["allowPrivilegeEscalation"], false);
        assert_eq!(rights["capabilities"]["drop"][0], "ALL");
        assert!(container["resources"]["limits"]["memory"].is_string());
        for mount in container["volumeMounts"].as_array().unwrap() {
            assert!(mounted.contains(&&mount["name"]), "{mount}");
        }
        if container["name"] != "larder" {
            continue;
        }
        assert_eq!(container["image"], image);
        if container["args"][0] == "serve" {
            assert_eq!(container["livenessProbe"]["httpGet"]["path"], "/healthz");
            assert_eq!(container["readinessProbe"]["httpGet"]["path"], "/readyz");
        }
    }
}

#[test]
fn the_log_has_the_fields_that_the_index_knows() {
    let home = exported("logging");
    let template: Value = serde_json::from_str(&home.read("logging/larder-template.json")).unwrap();
    let properties = &template["template"]["mappings"]["properties"];
    for field in [
        "@timestamp",
        "log.level",
        "message",
        "event.action",
        "event.dataset",
        "event.outcome",
        "trace.id",
        "service.name",
        "host.name",
        "larder.cache",
        "larder.plan_id",
    ] {
        let path = field.replace('.', "/properties/");
        let known = properties.pointer(&format!("/{path}/type"));
        assert!(known.is_some_and(Value::is_string), "{field}");
    }
    let beat = &yaml(&home.read("logging/filebeat.yml"))[0];
    let index = beat["output.elasticsearch"]["index"].as_str().unwrap();
    let pattern = template["index_patterns"][0].as_str().unwrap().trim_end_matches('*');
    assert!(index.starts_with(pattern));
    let fluent = home.read("logging/fluent.conf");
    assert!(fluent.contains(&format!("index_name {index}")));
    // Sections are closed in the order in which they were opened.
    let mut open = Vec::new();
    for line in fluent.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix("</") {
            assert_eq!(open.pop(), name.strip_suffix('>'), "{line}");
        } else if let Some(name) = line.strip_prefix('<') {
            open.push(name.split([' ', '>']).next().unwrap());
        }
    }
    assert!(open.is_empty(), "{open:?}");
}
