//! Layers, sources and mistakes, in temporary folders only.

use super::*;

struct Home {
    dir: tempfile::TempDir,
    input: Input,
}

fn home() -> Home {
    let dir = tempfile::tempdir().unwrap();
    let places = Places {
        home: Some(dir.path().to_owned()),
        user: Some(dir.path().join("user.toml")),
        system: Some(dir.path().join("system.toml")),
        state: Some(dir.path().join("state")),
        variable: None,
    };
    Home { input: Input { places, ..Input::default() }, dir }
}

impl Home {
    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    fn set(&mut self, name: &str, value: &str) {
        self.input.variables.push((name.into(), value.into()));
    }

    fn source(&self, path: &str) -> String {
        let resolved = resolve(&self.input).unwrap();
        let key = Key::find(path).unwrap();
        let settled = resolved.settled.iter().find(|s| s.key == key).unwrap();
        let source = settled.source.to_string();
        let folder = format!("{}{}", self.dir.path().display(), std::path::MAIN_SEPARATOR);
        format!("{} from {}", settled.value.text(), source.replace(&folder, ""))
    }
}

#[test]
fn every_default_reads_as_its_kind_and_lands_in_its_field() {
    let resolved = resolve(&home().input).unwrap();
    for settled in &resolved.settled {
        let fits = matches!(
            (settled.key.kind, &settled.value),
            (Kind::Size, Value::Size(_) | Value::Off)
                | (Kind::Limit, Value::Duration(_) | Value::Off)
                | (Kind::Duration, Value::Duration(_))
                | (Kind::Bool, Value::Bool(_))
                | (Kind::Count, Value::Count(_) | Value::Off)
                | (Kind::Word(_), Value::Word(_))
                | (Kind::Folder, Value::Folder(_))
                | (Kind::Folders, Value::Folders(_))
                | (Kind::Text, Value::Text(_) | Value::Off)
                | (Kind::Cron | Kind::Hours, Value::Off)
                | (Kind::File, Value::File(_) | Value::Off)
                | (Kind::Texts, Value::Texts(_))
                | (Kind::Address, Value::Text(_))
        );
        assert!(fits, "{} is {:?}", settled.key.path(), settled.value);
    }
    let settings = resolved.settings;
    assert_eq!(settings.build.max_age, Some(Duration::from_hours(5 * 24)));
    assert_eq!(settings.build.protect, Duration::from_hours(24));
    assert_eq!(settings.trash_keep, Duration::from_hours(7 * 24));
    assert!(!settings.trash && !settings.modules.keep_used);
}

#[test]
fn earlier_files_count_more_and_later_ones_fill_in() {
    let mut home = home();
    home.write(
        "system.toml",
        "[build]\nmax-size = '1GB'\nmax-age = '1d'\norphans = true\n[trash]\non = true\n",
    );
    home.write("user.toml", "[build]\nmax-size = '2GB'\nmax-age = '2d'\norphans = false\n");
    home.input.places.variable =
        Some(home.write("variable.toml", "build.max-size = '3GB'\nbuild.max-age = '3d'\n"));
    home.input.config = Some(home.write("flag.toml", "build.max-size = '4GB'"));
    assert_eq!(home.source("build.max-size"), "4GB from flag.toml:1");
    assert_eq!(home.source("build.max-age"), "3d from variable.toml:2");
    assert_eq!(home.source("build.orphans"), "false from user.toml:4");
    assert_eq!(home.source("trash.on"), "true from system.toml:6");
    assert_eq!(home.source("trash.keep"), "7d from default");
    home.set("LARDER_BUILD_MAX_SIZE", "5GB");
    assert_eq!(home.source("build.max-size"), "5GB from $LARDER_BUILD_MAX_SIZE");
    home.set("LARDER_PROFILE", "production");
    assert_eq!(home.source("profile"), "production from $LARDER_PROFILE");
    home.input.flags.push(("profile", "--profile", "dev".into()));
    assert_eq!(home.source("profile"), "dev from --profile");
}

#[test]
fn defaults_follow_what_they_depend_on() {
    let mut home = home();
    home.set("LARDER_ROOTS", &std::env::join_paths(["~/a", "~/b"]).unwrap().into_string().unwrap());
    home.set("LARDER_PROFILE", "production");
    let settings = resolve(&home.input).unwrap().settings;
    assert_eq!(settings.roots, [home.dir.path().join("a"), home.dir.path().join("b")]);
    assert!(settings.modules.keep_used && settings.toolchain.keep_used && settings.trash);
}

#[test]
fn every_mistake_of_every_layer_is_told_at_once() {
    let mut home = home();
    home.write("user.toml", "[buidl]\nmax-size = '2GB'\n");
    home.write("system.toml", "roots = ['src']\nunits = 'metric'\n");
    home.input.config = Some(home.dir.path().join("missing.toml"));
    home.input.places.variable = Some("relative.toml".into());
    home.set("LARDER_BUILD_PROTECT", "off");
    home.input.flags.push(("profile", "--profile", "prod".into()));
    let folder = format!("{}{}", home.dir.path().display(), std::path::MAIN_SEPARATOR);
    let wrong: Vec<String> = resolve(&home.input)
        .unwrap_err()
        .iter()
        .map(|w| w.to_string().replace(&folder, "").replace(" (os error 2)", ""))
        .collect();
    assert_eq!(
        wrong,
        [
            "--profile: expected \"dev\" or \"production\", found \"prod\"",
            "$LARDER_BUILD_PROTECT: expected a duration such as \"36h\" or \"30d\", found \"off\"",
            "missing.toml: cannot be read: No such file or directory",
            "$LARDER_CONFIG: relative.toml is relative; name the file in full",
            "user.toml:1:2: unknown table [buidl]; did you mean [build]?",
            "system.toml:1:10: roots: expected an absolute folder, found \"src\": it is relative, \
             so it would mean another folder wherever larder runs",
            "system.toml:2:9: units: expected \"decimal\" or \"binary\", found \"metric\"",
        ]
    );
}

#[test]
fn what_has_nothing_to_learn_from_is_warned_of() {
    let mut home = home();
    home.set("LARDER_ALERT_UNUSUAL", "true");
    assert!(resolve(&home.input).unwrap().warnings.is_empty());
    home.set("LARDER_HISTORY_KIND", "off");
    let warnings = resolve(&home.input).unwrap().warnings;
    assert!(warnings[0].starts_with("alert.unusual learns from the history"), "{warnings:?}");
}

#[test]
fn a_slip_in_a_variable_is_warned_of() {
    let mut home = home();
    home.set("LARDER_BUILD_MAXSIZE", "1GB");
    home.set("LARDER_TEST_THREADS", "1");
    let warnings = resolve(&home.input).unwrap().warnings;
    assert_eq!(
        warnings,
        ["$LARDER_BUILD_MAXSIZE is not a setting; did you mean LARDER_BUILD_MAX_SIZE?"]
    );
}
