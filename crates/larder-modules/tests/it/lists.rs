//! The GOPROXY list, walked as the go command walks it.

use larder_core::Meter;
use larder_modules::{FetchError, NetSettings, Proxies, SettingsError};
use larder_testkit::{FileProxy, GoSandbox, ModuleMaker, has_go};

use crate::lies::{options, proxies};
use larder_testkit::server::{self, Server, not_found, reply};

const MODULE: &str = "example.com/a";

fn published() -> (tempfile::TempDir, FileProxy) {
    let folder = tempfile::tempdir().unwrap();
    let proxy = FileProxy::new(folder.path().join("proxy"));
    proxy.publish(&ModuleMaker::new(MODULE, "v1.0.0").package("", &[]));
    (folder, proxy)
}

fn private(goproxy: &str, gonoproxy: &str) -> Proxies {
    let settings = NetSettings {
        goproxy: goproxy.to_owned(),
        gonoproxy: gonoproxy.to_owned(),
        goauth: "off".to_owned(),
        ..NetSettings::default()
    };
    Proxies::new(&settings, options()).unwrap()
}

/// What comes of a list, in a word.
fn outcome(goproxy: &str) -> &'static str {
    match proxies(goproxy).info(MODULE, "v1.0.0", &Meter::default()) {
        Ok(_) => "found",
        Err(FetchError::NotFound { .. }) => "not found",
        Err(FetchError::Off { .. }) => "off",
        Err(FetchError::Direct { .. }) => "direct",
        Err(FetchError::Unreachable { .. }) => "unreachable",
        Err(FetchError::Refused { .. }) => "refused",
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn the_list_is_walked_as_go_walks_it() {
    let (folder, good) = published();
    let has = server::folder(good.dir().to_owned()).url_kept();
    let lacks = Server::start(|_, stream| not_found(stream)).url_kept();
    let gone = Server::start(|_, stream| reply(stream, "410 Gone", "", b"")).url_kept();
    let broken = Server::start(|_, stream| reply(stream, "403 Forbidden", "", b"")).url_kept();
    // A web page for an .info; the go command would keep one as a zip.
    let lies = Server::start(|request, stream| {
        let page = request.path.ends_with(".info");
        if page { reply(stream, "200 OK", "", b"<html>") } else { not_found(stream) }
    })
    .url_kept();
    let empty = format!("file://{}", folder.path().join("empty").display());
    let file = good.url();
    let go = has_go();
    for (list, expected) in [
        (has.clone(), "found"),
        (format!("{has}/"), "found"),
        (file.clone(), "found"),
        (format!("{lacks},{has}"), "found"),
        (format!("{gone},{has}"), "found"),
        (format!("{empty},{file}"), "found"),
        (format!("{broken},{has}"), "unreachable"),
        (format!("{broken}|{has}"), "found"),
        (format!("{lacks}|{broken}|{has}"), "found"),
        (format!("{lies},{has}"), "refused"),
        (format!("{lies}|{has}"), "found"),
        (lacks.clone(), "not found"),
        (format!("{lacks},{gone}"), "not found"),
        (format!("{lacks},off"), "off"),
        ("off".to_owned(), "off"),
        (format!("off,{has}"), "off"),
        (format!("{broken}|off"), "unreachable"),
        (format!("{broken}|{lacks}"), "unreachable"),
        (format!(" , {has} ,, "), "found"),
        ("direct".to_owned(), "direct"),
        (format!("{lacks},direct,{has}"), "direct"),
        (format!("{broken},direct"), "unreachable"),
        (format!("{broken}|direct"), "direct"),
    ] {
        assert_eq!(outcome(&list), expected, "{list}");
        if go && expected != "direct" {
            let mut sandbox = GoSandbox::new();
            sandbox.proxy(&list);
            let dir = sandbox.root();
            let args = ["mod", "download", "-json", "example.com/a@v1.0.0"];
            let output = sandbox.try_go(&args, &dir);
            let text = String::from_utf8_lossy(&output.stdout).into_owned()
                + &String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.success(), expected == "found", "go: {list}: {text}");
            let off = text.contains("module lookup disabled by GOPROXY=off");
            assert_eq!(off, expected == "off", "go: {list}: {text}");
        }
    }
}

#[test]
fn private_modules_are_not_asked_for() {
    let server = Server::start(|_, stream| not_found(stream));
    let list = format!("{},off", server.url());
    let proxies = private(&list, "*.corp.example,example.com");
    let error = proxies.list(MODULE).unwrap_err();
    assert!(matches!(error, FetchError::Direct { .. }), "{error}");
    assert!(error.to_string().contains("GONOPROXY"), "{error}");
    assert!(server.requests().is_empty());
    assert!(matches!(proxies.list("example.org/a"), Err(FetchError::Off { .. })));
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn lists_that_are_none() {
    let new = |goproxy: &str| {
        let settings = NetSettings { goproxy: goproxy.to_owned(), ..NetSettings::default() };
        Proxies::new(&settings, options()).map(|_| ())
    };
    assert_eq!(new(""), Err(SettingsError::NoProxy));
    assert!(SettingsError::NoProxy.to_string().contains("go env -w GOPROXY="));
    for bad in [",", " | ", "ftp://x.example", "word", "/a/path", "file:///a?b", "http://"] {
        assert!(matches!(new(bad), Err(SettingsError::Invalid(_))), "{bad}");
    }
    for good in ["proxy.example", "proxy.example/path", "https://u:p@proxy.example", "file:///a"] {
        assert_eq!(new(good), Ok(()), "{good}");
    }
    let error = new("https://me:secret@proxy example").unwrap_err().to_string();
    assert!(!error.contains("secret"), "{error}");
}

#[test]
fn a_password_over_http_is_not_sent_and_never_shown() {
    let server = Server::start(|_, stream| not_found(stream));
    let url = server.url().replace("http://", "http://me:secret@");
    let error = proxies(&url).list(MODULE).unwrap_err();
    assert!(matches!(error, FetchError::Refused { .. }), "{error}");
    let text = format!("{error} {error:?}");
    assert!(text.contains("me:xxxxx@") && !text.contains("secret"), "{text}");
    assert!(server.requests().is_empty());
}

#[test]
fn names_that_are_none_are_not_asked_for() {
    let proxies = proxies("off");
    for (module, version) in [("../up", "v1.0.0"), ("example.com/a", "../v1"), ("", "v1.0.0")] {
        let error = proxies.info(module, version, &Meter::default()).unwrap_err();
        assert!(matches!(error, FetchError::Invalid { .. }), "{error}");
    }
}

trait Kept {
    fn url_kept(self) -> String;
}

impl Kept for Server {
    /// Its address; it then runs until the tests end.
    fn url_kept(self) -> String {
        let url = self.url();
        std::mem::forget(self);
        url
    }
}
