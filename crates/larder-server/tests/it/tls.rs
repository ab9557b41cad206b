//! The web settings file at work: TLS, client certificates, users, headers, and changes of it.

use std::io::{self, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use larder_server::{Running, ServeOptions, Token};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use tempfile::TempDir;

use crate::support::{LIMIT, Reply, ask, get, options, reply, request, start, until};

/// A folder with an authority, and what it signed.
struct Keys(TempDir);

impl Keys {
    fn new() -> Self {
        let keys = Self(tempfile::tempdir().unwrap());
        keys.openssl(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 \
                      -subj /CN=ca -keyout ca.key -out ca.crt",
        );
        keys.sign("server", "first");
        keys.sign("client", "client");
        keys
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    fn write(&self, name: &str, text: &str) {
        // As a careful editor does: the new file is there at once.
        std::fs::write(self.path("new"), text).unwrap();
        std::fs::rename(self.path("new"), self.path(name)).unwrap();
    }

    /// `NAME.crt` and `NAME.key` for this machine, with `subject`.
    fn sign(&self, name: &str, subject: &str) {
        self.write("ext", "subjectAltName=IP:127.0.0.1\n");
        self.openssl(&format!(
            "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN={subject} \
             -keyout {name}.key -out {name}.csr"
        ));
        self.openssl(&format!(
            "x509 -req -in {name}.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 \
             -extfile ext -out {name}.crt"
        ));
    }

    fn openssl(&self, arguments: &str) {
        let mut command = Command::new("openssl");
        command.current_dir(self.0.path()).args(arguments.split_whitespace());
        let output = command.output().expect("openssl is installed (scripts/test installs it)");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    fn client(
        &self,
        certificate: Option<&str>,
        versions: &[&'static rustls::SupportedProtocolVersion],
    ) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(&self.read("ca.crt")).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots);
        let Some(name) = certificate else { return config.with_no_client_auth() };
        let chain =
            vec![CertificateDer::from_pem_slice(&self.read(&format!("{name}.crt"))).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(&self.read(&format!("{name}.key"))).unwrap();
        config.with_client_auth_cert(chain, key).unwrap()
    }
}

const BOTH: &[&rustls::SupportedProtocolVersion] = rustls::ALL_VERSIONS;

/// A scrape over TLS: the answer and the certificate of the server.
fn scrape(server: &Running, config: ClientConfig) -> io::Result<(Reply, Vec<u8>)> {
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let connection = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
    let stream = TcpStream::connect(server.address())?;
    stream.set_read_timeout(Some(LIMIT))?;
    let mut stream = StreamOwned::new(connection, stream);
    stream.write_all(request("GET /metrics", &[("host", "127.0.0.1")], "").as_bytes())?;
    // An alert comes with the first read.
    let mut first = [0];
    io::Read::read_exact(&mut stream, &mut first)?;
    let answer = reply(&mut io::Read::chain(&first[..], &mut stream)).unwrap();
    let certificate = stream.conn.peer_certificates().unwrap()[0].to_vec();
    Ok((answer, certificate))
}

fn serve(keys: &Keys, web: &str) -> Running {
    keys.write("web.yml", web);
    start(ServeOptions { web_file: Some(keys.path("web.yml")), ..options() })
}

const TLS: &str = "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n";

#[test]
fn tls_in_both_versions_and_nothing_in_the_clear() {
    let keys = Keys::new();
    let server = serve(&keys, TLS);
    assert!(server.url().starts_with("https://127.0.0.1:"));
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let (reply, _) = scrape(&server, keys.client(None, &[version])).unwrap();
        assert_eq!(reply.status, 200);
        assert!(reply.text().contains("larder_build_info"));
    }
    let mut raw = crate::support::Raw::to(server.address());
    raw.send(&request("GET /metrics", &[], ""));
    let mut said = Vec::new();
    let _ = io::Read::read_to_end(&mut raw.0, &mut said);
    assert!(!said.starts_with(b"HTTP"), "{said:?}");
    let newest = serve(&keys, &format!("{TLS}  min_version: TLS13\n"));
    assert!(scrape(&newest, keys.client(None, &[&rustls::version::TLS12])).is_err());
    assert!(scrape(&newest, keys.client(None, BOTH)).is_ok());
}

#[test]
fn a_handshake_that_does_not_come_is_not_waited_for() {
    let keys = Keys::new();
    let server = serve(&keys, TLS);
    let start = Instant::now();
    let took = crate::support::Raw::to(server.address()).closed_after(start);
    assert!(took > Duration::from_secs(4) && took < Duration::from_secs(25), "{took:?}");
}

#[test]
fn client_certificates_as_the_file_says() {
    let keys = Keys::new();
    let stranger = Keys::new();
    let foreign = || {
        let mut config = keys.client(None, BOTH);
        let of_stranger = stranger.client(Some("client"), BOTH);
        config.client_auth_cert_resolver = of_stranger.client_auth_cert_resolver;
        config
    };
    // Whether nobody, a stranger and our client may ask.
    let cases = [
        ("NoClientCert", "", [true, true, true]),
        ("RequestClientCert", "", [true, true, true]),
        ("RequireAnyClientCert", "", [false, true, true]),
        ("VerifyClientCertIfGiven", "ca.crt", [true, false, true]),
        ("RequireAndVerifyClientCert", "ca.crt", [false, false, true]),
    ];
    for (kind, ca, wanted) in cases {
        let ca = if ca.is_empty() { String::new() } else { format!("  client_ca_file: {ca}\n") };
        let server = serve(&keys, &format!("{TLS}  client_auth_type: {kind}\n{ca}"));
        let found = [keys.client(None, BOTH), foreign(), keys.client(Some("client"), BOTH)]
            .map(|config| scrape(&server, config).is_ok());
        assert_eq!(found, wanted, "{kind}");
    }
}

#[test]
fn a_new_certificate_is_used_and_a_broken_one_is_not() {
    let keys = Keys::new();
    keys.write("web.yml", TLS);
    let said = Arc::new(Mutex::new(Vec::<String>::new()));
    let own = said.clone();
    let server = start(ServeOptions {
        web_file: Some(keys.path("web.yml")),
        say: Arc::new(move |line| own.lock().unwrap().push(line.to_owned())),
        ..options()
    });
    let current = || scrape(&server, keys.client(None, BOTH)).unwrap().1;
    let first = current();
    keys.sign("server", "second");
    until("the new certificate is used", || current() != first);
    let second = current();
    keys.write("server.crt", "not a certificate");
    until("somebody is told", || {
        assert_eq!(current(), second);
        said.lock().unwrap().iter().any(|line| line.contains("stays in force"))
    });
    let heard = said.lock().unwrap().clone();
    let about = heard.iter().filter(|line| line.contains("holds no certificate in PEM")).count();
    assert_eq!(about, 1, "{heard:?}");
    keys.write("web.yml", "basic_auth_users: {}\n");
    until("TLS stays", || {
        assert_eq!(current(), second);
        said.lock().unwrap().iter().any(|line| line.contains("cannot be turned on or off"))
    });
}

#[test]
fn users_have_passwords_and_the_token_does_too() {
    let keys = Keys::new();
    let hash = bcrypt::hash("right", 4).unwrap();
    let web = format!(
        "basic_auth_users:\n  prometheus: {hash}\nhttp_server_config:\n  headers:\n    \
         X-Frame-Options: SAMEORIGIN\n    Strict-Transport-Security: max-age=600\n"
    );
    keys.write("web.yml", &web);
    let server = start(ServeOptions {
        web_file: Some(keys.path("web.yml")),
        token: Token::new("0123456789abcdef").ok(),
        ..options()
    });
    let with = |line: &str, value: &str| {
        let headers = [("authorization", value), ("content-type", "application/json")];
        let body = if line.starts_with("POST") { r#"{"cache":"build"}"# } else { "" };
        ask(server.address(), line, &headers, body)
    };
    let basic = |text: &str| format!("Basic {}", STANDARD.encode(text));
    for path in ["/metrics", "/", "/nothing", "/healthz", "/api/v1/openapi.json"] {
        let reply = get(server.address(), path);
        assert_eq!(reply.status, 401, "{path}");
        assert!(reply.header("www-authenticate").unwrap().starts_with("Basic realm="));
        assert_eq!(reply.header("x-frame-options"), Some("SAMEORIGIN"));
        assert_eq!(reply.header("strict-transport-security"), Some("max-age=600"));
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
    }
    for _ in 0..2 {
        assert_eq!(with("GET /metrics", &basic("prometheus:right")).status, 200);
        for wrong in ["prometheus:wrong", "other:right", "prometheus:", ":", "prometheus"] {
            assert_eq!(with("GET /metrics", &basic(wrong)).status, 401, "{wrong}");
        }
    }
    assert_eq!(with("GET /metrics", "Bearer 0123456789abcdef").status, 200);
    assert_eq!(with("GET /metrics", "Bearer 0123456789abcdee").status, 401);
    // A password lets somebody read; changes need the token.
    assert_eq!(with("POST /api/v1/orders", &basic("prometheus:right")).status, 401);
    assert_eq!(with("POST /api/v1/orders", "Bearer 0123456789abcdef").status, 202);
    // A password that is taken away is no longer remembered.
    keys.write("web.yml", &web.replace(&hash, &bcrypt::hash("new", 4).unwrap()));
    until("the old password is refused", || {
        with("GET /metrics", &basic("prometheus:right")).status == 401
    });
    assert_eq!(with("GET /metrics", &basic("prometheus:new")).status, 200);
}

#[test]
fn a_slow_hash_is_paid_for_once() {
    let keys = Keys::new();
    let hash = bcrypt::hash("right", 10).unwrap();
    let server = serve(&keys, &format!("basic_auth_users:\n  a: {hash}\n"));
    let header = format!("Basic {}", STANDARD.encode("a:right"));
    let timed = || {
        let start = Instant::now();
        let reply = ask(server.address(), "GET /healthz", &[("authorization", &header)], "");
        assert_eq!(reply.status, 200);
        start.elapsed()
    };
    let first = timed();
    let fastest = (0..20).map(|_| timed()).min().unwrap();
    assert!(fastest * 4 < first, "first {first:?}, then {fastest:?}");
}

#[test]
fn a_wrong_file_stops_the_start_with_its_line() {
    let keys = Keys::new();
    keys.write("web.yml", "tls_server_config:\n  cert_file: server.crt\n  key: x\n");
    let error = start_error(&keys.path("web.yml"));
    assert!(error.contains("web.yml:3:3: unknown field"), "{error}");
    keys.write("web.yml", "tls_server_config:\n  cert_file: none.crt\n  key_file: server.key\n");
    let error = start_error(&keys.path("web.yml"));
    assert!(error.contains("none.crt cannot be read"), "{error}");
    keys.write("web.yml", "tls_server_config:\n  cert_file: server.crt\n  key_file: client.key\n");
    let error = start_error(&keys.path("web.yml"));
    assert!(error.contains("do not make a server"), "{error}");
}

fn start_error(web: &Path) -> String {
    let routes = larder_server::Routes {
        source: crate::support::Made::new(larder_server::Exposed::default()),
        endpoints: Vec::new(),
        events: larder_server::Events::new(1, 0),
    };
    let options = ServeOptions { web_file: Some(web.to_owned()), ..options() };
    larder_server::Server::start(options, routes).unwrap_err().to_string()
}
