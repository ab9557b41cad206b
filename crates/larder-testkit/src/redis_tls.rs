//! Certificates of an authority of a test's own, made by openssl: for a server on 127.0.0.1, for a
//! client, and another authority that signed none of them.

use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use crate::redis::{RedisServer, free_port};

/// Certificates and keys in PEM, in a folder that vanishes.
#[derive(Debug)]
pub struct Certificates {
    dir: TempDir,
}

impl Certificates {
    /// Makes `ca`, `other-ca`, `server` and `client`, each `.pem` and `.key`.
    pub fn new() -> Self {
        let made = Self { dir: tempfile::tempdir().unwrap() };
        made.authority("ca");
        made.authority("other-ca");
        made.signed("server", "subjectAltName=IP:127.0.0.1,DNS:localhost");
        made.signed("client", "extendedKeyUsage=clientAuth");
        made
    }

    /// The file of this name, as `ca.pem`.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Its bytes.
    pub fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    fn authority(&self, name: &str) {
        let text = format!("/CN={name}");
        let is_one = "basicConstraints=critical,CA:TRUE";
        self.openssl(&[
            &["req", "-x509", "-days", "2", "-subj", &text, "-addext", is_one][..],
            &["-out", &format!("{name}.pem")],
            &KEY,
            &[&format!("{name}.key")],
        ]);
    }

    fn signed(&self, name: &str, extension: &str) {
        let (request, extensions) = (format!("{name}.csr"), format!("{name}.ext"));
        std::fs::write(self.path(&extensions), extension).unwrap();
        self.openssl(&[
            &["req", "-new", "-subj", &format!("/CN={name}"), "-out", &request][..],
            &KEY,
            &[&format!("{name}.key")],
        ]);
        self.openssl(&[
            &["x509", "-req", "-days", "2", "-in", &request, "-extfile", &extensions][..],
            &["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"],
            &["-out", &format!("{name}.pem")],
        ]);
    }

    fn openssl(&self, args: &[&[&str]]) {
        let mut command = Command::new("openssl");
        let output = command.args(args.concat()).current_dir(self.dir.path()).output();
        let output = output.expect("openssl is installed (scripts/test installs it)");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "openssl {args:?}: {said}");
    }
}

impl Default for Certificates {
    fn default() -> Self {
        Self::new()
    }
}

/// A new key that needs no password; the name of its file follows.
const KEY: [&str; 6] =
    ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout"];

/// A server that speaks TLS beside its plain port, and the port for TLS. With `ask_clients` it
/// takes only clients with a certificate.
pub fn tls_server(certificates: &Certificates, ask_clients: bool) -> (RedisServer, u16) {
    let text = |path: PathBuf| path.to_str().unwrap().to_owned();
    let (certificate, key, authority) = (
        text(certificates.path("server.pem")),
        text(certificates.path("server.key")),
        text(certificates.path("ca.pem")),
    );
    let port = free_port();
    let asks = if ask_clients { "yes" } else { "no" };
    let server = RedisServer::with(&[
        "--tls-port",
        &port.to_string(),
        "--tls-cert-file",
        &certificate,
        "--tls-key-file",
        &key,
        "--tls-ca-cert-file",
        &authority,
        "--tls-auth-clients",
        asks,
    ]);
    (server, port)
}
