//! An HTTP proxy between us and a module proxy.

use larder_modules::{NetSettings, Proxies};

use crate::lies::options;
use larder_testkit::server::{Server, not_found, ok};

#[test]
fn what_is_not_an_exception_goes_through_it() {
    let server = Server::start(|request, stream| match request.path.as_str() {
        "proxy.test:80" => stream.write_all(b"HTTP/1.1 200 Connected\r\n\r\n").is_ok(),
        "/example.com/a/@v/list" => ok(stream, b"v1.0.0\n"),
        _ => not_found(stream),
    });
    let new = |no_proxy: &str| {
        let settings = NetSettings {
            goproxy: "http://proxy.test".to_owned(),
            http_proxy: server.url(),
            no_proxy: no_proxy.to_owned(),
            ..NetSettings::default()
        };
        Proxies::new(&settings, options()).unwrap()
    };
    assert_eq!(new("").list("example.com/a").unwrap(), ["v1.0.0"]);
    assert_eq!(server.paths(), ["proxy.test:80", "/example.com/a/@v/list"]);
    server.forget();
    // Nobody has this name, so without the HTTP proxy nobody answers.
    assert!(new("proxy.test").list("example.com/a").is_err());
    assert!(server.requests().is_empty());
}

#[test]
fn this_machine_is_spoken_to_directly() {
    let direct = Server::start(|_, stream| ok(stream, b"v1.0.0\n"));
    let between = Server::start(|_, stream| not_found(stream));
    let settings =
        NetSettings { goproxy: direct.url(), http_proxy: between.url(), ..NetSettings::default() };
    let proxies = Proxies::new(&settings, options()).unwrap();
    assert_eq!(proxies.list("example.com/a").unwrap(), ["v1.0.0"]);
    assert!(between.requests().is_empty());
}
