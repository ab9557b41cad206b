//! Settings: every mistake at once, sources, and changes that leave the rest of the file alone.

use crate::Home;

const MISTAKES: &str = "\
profile = \"prod\"
rots = [\"~/src\"]
roots = [\"~/src\", \"src\", 7]

[build]
max-size = \"ten\"
max-age = 30
orphans = \"yes\"
max_size = \"10GB\"
max-size = \"20GB\"

[moed]
keep-used = true

[plan]
keep-versions = 2

[vcs]
max-age = = \"3d\"
";

#[test]
fn every_mistake_is_a_line_with_its_place() {
    let home = Home::new();
    home.write("config/larder/config.toml", MISTAKES);
    let ran = home.run(&["config", "check"]);
    insta::assert_snapshot!("mistakes", ran.ends(2).err);
    // Every command says the same, and does nothing.
    assert_eq!(home.run(&["clean", "build"]).ends(2).err, ran.err);
    let json = home.run(&["config", "check", "--json"]);
    let json = json.ends(2).json();
    assert_eq!(json["problems"].as_array().unwrap().len(), 12);
    assert_eq!(
        (&json["problems"][0]["line"], &json["problems"][0]["column"]),
        (&1.into(), &11.into())
    );
}

#[test]
fn columns_count_characters() {
    let home = Home::new();
    home.write("config/larder/config.toml", "build = { \"é\" = 1, protect = \"ü\" }\n");
    let err = home.run(&["config", "check"]).ends(2).err.clone();
    assert!(err.contains("config.toml:1:11: unknown setting build.é"), "{err}");
    assert!(err.contains("config.toml:1:30: build.protect: expected a duration"), "{err}");
}

#[test]
fn show_names_the_source_of_every_value() {
    let home = Home::new();
    home.write(
        "config/larder/config.toml",
        "roots = [\"~/src\"]\n\n[build]\nmax-size = \"20GiB\"\n",
    );
    home.write("named.toml", "[build]\nmax-age = \"off\"\n");
    let show = |args: &[&str]| {
        let mut command = home.command(args);
        command.env("LARDER_CONFIG", home.path().join("named.toml"));
        home.ran(command.env("LARDER_UNITS", "binary").output().unwrap())
    };
    let ran = show(&["config", "show", "--profile", "production"]);
    insta::assert_snapshot!("config_show", ran.ends(0).out);
    let json = show(&["config", "show", "build", "--json"]).ends(0).json();
    assert_eq!(json["schema"], "larder/config/1");
    let settings = json["settings"].as_array().unwrap();
    assert_eq!(settings.len(), 4);
    assert_eq!(settings[0]["value"], 20_u64 << 30);
    assert_eq!(settings[0]["source"]["line"], 4);
    assert_eq!(settings[0]["variable"], "LARDER_BUILD_MAX_SIZE");
    assert_eq!(settings[1]["value"], serde_json::Value::Null);
}

#[test]
fn settings_are_never_read_from_the_current_folder() {
    let home = Home::new();
    for name in ["config.toml", "larder.toml", ".larder.toml", "larder/config.toml"] {
        home.write(name, "[build]\nmax-size = \"1B\"\n");
    }
    let json = home.run(&["config", "show", "build.max-size", "--json"]).ends(0).json();
    assert_eq!(json["settings"][0]["source"]["kind"], "default");
    let ran = home.command(&["config", "show"]).env("LARDER_CONFIG", "larder.toml").output();
    assert!(home.ran(ran.unwrap()).ends(2).err.contains("is relative"));
}

#[test]
fn set_changes_one_value_and_nothing_else() {
    let home = Home::new();
    let file = "config/larder/config.toml";
    let before = "\
# mine
profile = \"dev\" # for now

[build] # big disk
# a cap
max-size   =   \"20GB\"   # was 10

orphans = false
";
    home.write(file, before);
    home.run(&["config", "set", "build.max-size", "30GB"]).ends(0);
    assert_eq!(home.read(file), before.replace("20GB", "30GB"));
    home.run(&["config", "set", "build.orphans", "true"]).ends(0);
    home.run(&["config", "set", "roots", "~/src", "/work"]).ends(0);
    home.run(&["config", "set", "mod.keep-versions", "2"]).ends(0);
    home.run(&["config", "set", "build.max-age", "off"]).ends(0);
    insta::assert_snapshot!("config_set", home.read(file));
    let wrong = home.run(&["config", "set", "build.protect", "off"]);
    assert!(wrong.ends(2).err.starts_with("error: build.protect: expected a duration"));
    let json = home.run(&["config", "show", "mod.keep-versions", "--json"]).json();
    assert_eq!(json["settings"][0]["value"], 2);
}

#[test]
fn set_mends_a_wrong_value_and_refuses_to_leave_another() {
    let home = Home::new();
    let file = "config/larder/config.toml";
    home.write(file, "units = \"metric\"\n");
    let ran = home.run(&["config", "set", "profile", "dev"]);
    assert!(ran.ends(2).err.contains("config.toml:"), "{}", ran.err);
    assert_eq!(home.read(file), "units = \"metric\"\n");
    home.run(&["config", "set", "units", "binary"]).ends(0);
    assert_eq!(home.read(file), "units = \"binary\"\n");
}

#[test]
fn set_makes_the_file_and_follows_a_link_to_it() {
    let home = Home::new();
    home.run(&["config", "set", "build.max-size", "1GB"]).ends(0);
    assert_eq!(home.read("config/larder/config.toml"), "[build]\nmax-size = \"1GB\"\n");
    #[cfg(unix)]
    {
        let real = home.write("dotfiles/larder.toml", "# kept elsewhere\n");
        let link = home.path().join("config/larder/config.toml");
        std::fs::remove_file(&link).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        home.run(&["config", "set", "units", "binary"]).ends(0);
        assert!(link.is_symlink());
        assert!(home.read("dotfiles/larder.toml").contains("units = \"binary\""));
    }
}

#[test]
fn path_names_every_file_that_counts() {
    let home = Home::new();
    let file = home.write("config/larder/config.toml", "broken = [");
    let json = home.run(&["config", "path", "--json"]).ends(0).json();
    assert_eq!(json["files"][0]["path"], "[HOME]/config/larder/config.toml");
    assert_eq!(
        (&json["files"][0]["role"], &json["files"][0]["found"]),
        (&"user".into(), &true.into())
    );
    std::fs::remove_file(file).unwrap();
    assert!(home.run(&["config", "path"]).ends(0).out.contains("not there"));
}

#[test]
fn init_writes_a_file_once() {
    let home = Home::new();
    home.write("src/app/go.mod", "module app\n");
    home.write("go/src/legacy/main.go", "package main\n");
    let ran = home.run(&["init"]);
    assert!(ran.ends(0).out.contains("Projects below ~/src:"), "{}", ran.out);
    insta::assert_snapshot!("init", home.read("config/larder/config.toml"));
    home.run(&["config", "check"]).ends(0);
    let again = home.run(&["init"]);
    assert!(again.ends(3).err.contains("exists\nhint: --force overwrites it"), "{}", again.err);
    home.write("config/larder/config.toml", "x");
    home.run(&["init", "--force"]).ends(0);
    home.run(&["config", "check"]).ends(0);
    home.run(&["init", "--config", "elsewhere/own.toml"]).ends(0);
    assert!(home.read("elsewhere/own.toml").starts_with("# Settings of larder."));
}
