//! TLS for real: certificates made with openssl, trusted through the system's own means.
//!
//! Which certificates a process trusts is settled by its environment, so the part that is to
//! trust them runs as a process of its own: this very test binary.
#![cfg(target_os = "linux")]

use std::io::BufReader;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::thread;

use larder_core::Occasion;
use larder_notify::{Fate, Kind, Receiver};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::server;
use crate::smtp::{Smtp, Ways};
use crate::support::{deliver, notice, receiver, secret_file, wait_for};

/// Names the folder of the certificates, in the process that trusts them.
const TRUSTED: &str = "LARDER_TEST_TLS";

fn openssl(dir: &Path, arguments: &[&str]) {
    let output = Command::new("openssl").args(arguments).current_dir(dir).output();
    let output = output.expect("openssl is installed (scripts/test installs it)");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// An authority in `ca.pem` and a certificate for localhost.
fn certificates(dir: &Path) {
    let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
    let days = ["-days", "2"];
    let ca = ["req", "-x509", "-subj", "/CN=test", "-keyout", "ca.key", "-out", "ca.pem"];
    openssl(dir, &[&ca[..], &key, &days].concat());
    std::fs::write(dir.join("names"), "subjectAltName=DNS:localhost,IP:127.0.0.1\n").unwrap();
    let request = ["req", "-subj", "/CN=localhost", "-keyout", "leaf.key", "-out", "leaf.csr"];
    openssl(dir, &[&request[..], &key].concat());
    let sign = ["x509", "-req", "-in", "leaf.csr", "-CA", "ca.pem", "-CAkey", "ca.key"];
    let rest = ["-CAcreateserial", "-extfile", "names", "-out", "leaf.pem"];
    openssl(dir, &[&sign[..], &rest, &days].concat());
}

fn config(dir: &Path) -> Arc<rustls::ServerConfig> {
    let chain = CertificateDer::pem_file_iter(dir.join("leaf.pem"))
        .unwrap()
        .collect::<Result<Vec<_>, _>>()
        .unwrap();
    let key = PrivateKeyDer::from_pem_file(dir.join("leaf.key")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap();
    Arc::new(builder.with_no_client_auth().with_single_cert(chain, key).unwrap())
}

/// A webhook over TLS that says ok.
fn https(config: Arc<rustls::ServerConfig>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(stream) = stream else { continue };
            let connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut reader = BufReader::new(rustls::StreamOwned::new(connection, stream));
            if server::read(&mut reader).is_some() {
                server::answer(reader.get_mut(), "200 OK", "", "ok");
                reader.get_mut().conn.send_close_notify();
                let _ = std::io::Write::flush(reader.get_mut());
            }
        }
    });
    port
}

fn people(url: &str) -> Receiver {
    Receiver {
        from: Some("larder@example.test".to_owned()),
        to: vec!["team@example.test".to_owned()],
        secret_file: Some(secret_file("pa55-word")),
        ..receiver("people", Kind::Mail, url)
    }
}

fn starttls(config: &Arc<rustls::ServerConfig>) -> Smtp {
    let extensions = vec!["STARTTLS", "AUTH PLAIN"];
    Smtp::start(Ways { extensions, tls: Some((Arc::clone(config), false)), ..Ways::default() })
}

#[test]
fn a_certificate_that_nobody_signed_is_refused_for_good() {
    let dir = tempfile::tempdir().unwrap();
    certificates(dir.path());
    let config = config(dir.path());
    let raised = notice("1", "redis:a", Occasion::Raised);
    let url = format!("https://localhost:{}/", https(Arc::clone(&config)));
    let delivery = deliver(receiver("hook", Kind::Slack, &url), &raised);
    let Fate::Failed(why) = &delivery.fate else { panic!("{delivery:?}") };
    assert!(why.to_lowercase().contains("certificate"), "{why}");
    assert_eq!(delivery.attempts, 1, "{why}");
    let smtp = starttls(&config);
    let url = format!("smtp://localhost:{}/?tls=required", smtp.port);
    let delivery = deliver(people(&url), &raised);
    assert!(matches!(delivery.fate, Fate::Failed(_)), "{delivery:?}");
    assert!(smtp.sessions().iter().all(|s| !s.commands.iter().any(|c| c.starts_with("AUTH"))));
}

#[test]
fn a_certificate_that_is_trusted_carries_all() {
    let Some(dir) = std::env::var_os(TRUSTED).map(PathBuf::from) else {
        let dir = tempfile::tempdir().unwrap();
        certificates(dir.path());
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "tls::a_certificate_that_is_trusted_carries_all"])
            .env(TRUSTED, dir.path())
            .env("SSL_CERT_FILE", dir.path().join("ca.pem"))
            .env_remove("SSL_CERT_DIR")
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains("1 passed"), "{text}");
        return;
    };
    let config = config(&dir);
    let raised = notice("1", "redis:a", Occasion::Raised);
    let url = format!("https://localhost:{}/", https(Arc::clone(&config)));
    let delivery = deliver(receiver("hook", Kind::Slack, &url), &raised);
    assert_eq!(delivery.fate, Fate::Sent);

    let smtp = starttls(&config);
    let delivery = deliver(people(&format!("smtp://localhost:{}", smtp.port)), &raised);
    assert_eq!(delivery.fate, Fate::Sent);
    wait_for("the connection to end", || !smtp.sessions().is_empty());
    let session = smtp.sessions().remove(0);
    assert!(session.encrypted && !session.mail.is_empty());
    let at = |word: &str| session.commands.iter().position(|c| c.starts_with(word)).unwrap();
    assert!(at("STARTTLS") < at("AUTH"), "{:?}", session.commands);

    let extensions = vec!["AUTH PLAIN"];
    let smtp = Smtp::start(Ways { extensions, tls: Some((config, true)), ..Ways::default() });
    let delivery = deliver(people(&format!("smtps://localhost:{}", smtp.port)), &raised);
    assert_eq!(delivery.fate, Fate::Sent);
}
