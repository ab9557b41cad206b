//! TLS and users of a real `larder serve` by a web settings file as the exporter toolkit has it,
//! asked by other programs: openssl, Python, Prometheus.

use std::process::{Command, Stdio};

use larder_testkit::GoSandbox;

use crate::daemon_kit::{Daemon, command, settings, until};
use crate::export_metrics::Prometheus;
use crate::flow_serve::judged;

/// The password hunter2, as `htpasswd -B` would write it.
const HASH: &str = "$2b$06$IdLmfE2e2nP/1WDxHK3D2OjL0zQ30gfPYmvcgeuCeN.tJBnRaCqf.";

/// A sandbox with an authority, a certificate for 127.0.0.1, and the settings that name them.
fn sandbox() -> GoSandbox {
    let sandbox = GoSandbox::new();
    sandbox.write("tls/ext", "subjectAltName=IP:127.0.0.1\n");
    for arguments in [
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=ca \
         -keyout ca.key -out ca.crt",
        "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=larder \
         -keyout server.key -out server.csr",
        "x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile ext \
         -out server.crt",
    ] {
        let mut openssl = Command::new("openssl");
        openssl.current_dir(sandbox.root().join("tls")).args(arguments.split_whitespace());
        judged(&mut openssl, "");
    }
    let web = format!(
        "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n\
         basic_auth_users:\n  prometheus: {HASH}\n"
    );
    let web = sandbox.write("tls/web.yml", web);
    settings(&sandbox, &format!("[serve]\nweb-config = \"{}\"\n", web.display()));
    sandbox
}

/// `127.0.0.1:PORT` of one that speaks TLS.
fn address(daemon: &Daemon) -> String {
    let started = daemon.event("started");
    let message = started["message"].as_str().unwrap().to_owned();
    let url = message.split("https://").nth(1).unwrap_or_else(|| panic!("{message}"));
    url.trim_end_matches('/').to_owned()
}

const ASK: &str = "\
import base64, ssl, sys, urllib.error, urllib.request
url, ca, user = sys.argv[1], sys.argv[2], sys.argv[3]
request = urllib.request.Request(url)
if user:
    request.add_header('Authorization', 'Basic ' + base64.b64encode(user.encode()).decode())
try:
    answer = urllib.request.urlopen(request, context=ssl.create_default_context(cafile=ca))
    print(answer.status, 'larder_build_info' in answer.read().decode())
except urllib.error.HTTPError as error:
    print(error.code, error.headers.get('WWW-Authenticate'))
";

#[test]
fn other_programs_get_in_with_the_right_certificate_and_password_only() {
    let sandbox = sandbox();
    let daemon = Daemon::serve(&sandbox);
    let address = address(&daemon);
    let ca = sandbox.root().join("tls/ca.crt");
    let asked = |path: &str, user: &str| {
        let url = format!("https://{address}{path}");
        let mut python = Command::new("python3");
        python.args(["-c", ASK, &url]).arg(&ca).arg(user);
        judged(&mut python, "").trim().to_owned()
    };
    assert_eq!(asked("/metrics", "prometheus:hunter2"), "200 True");
    let challenge = "401 Basic realm=\"larder\", charset=\"UTF-8\"";
    for wrong in ["", "prometheus:hunter3", "nobody:hunter2", "prometheus:"] {
        assert_eq!(asked("/metrics", wrong), challenge, "{wrong}");
    }
    for path in ["/", "/api/v1/status", "/healthz"] {
        assert!(asked(path, "").starts_with("401"), "{path}");
    }
    // What the certificate says, to somebody who looks with openssl.
    let client = |more: &[&str]| {
        let mut openssl = Command::new("openssl");
        openssl.args(["s_client", "-connect", &address, "-CAfile"]).arg(&ca);
        openssl.args(["-verify_return_error", "-verify_ip", "127.0.0.1", "-brief"]).args(more);
        let output = openssl.stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        (output.status.success(), said)
    };
    for version in ["-tls1_2", "-tls1_3"] {
        let (good, said) = client(&[version]);
        assert!(good && said.contains("Verification: OK"), "{said}");
    }
    let (good, said) = client(&["-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"]);
    assert!(!good, "an old version is spoken: {said}");
    let ended = daemon.stop();
    assert_eq!(ended.code, Some(0));
    assert!(!ended.log.contains("hunter"), "{}", ended.log);
}

#[test]
fn a_prometheus_scrapes_with_a_password_and_a_changed_file_counts_at_once() {
    let sandbox = sandbox();
    let daemon = Daemon::serve(&sandbox);
    let address = address(&daemon);
    let folder = sandbox.root().join("tls");
    let more = format!(
        "    scheme: https\n    tls_config: {{ ca_file: {0}/ca.crt }}\n    basic_auth: \
         {{ username: prometheus, password: hunter2 }}\n",
        folder.display()
    );
    let rules = sandbox.root().join("no-rules");
    let prometheus = Prometheus::start_with(&rules, &address, &more);
    let up = |wanted: &str| {
        let rows = prometheus.query("up{job=\"larder\"}").unwrap();
        rows.first().is_some_and(|row| row["value"][1] == wanted).then_some(())
    };
    until("it is scraped", || up("1"));
    // The user is taken away: no restart, no signal.
    let web = folder.join("web.yml");
    let text = std::fs::read_to_string(&web).unwrap().replace("prometheus:", "somebody:");
    std::fs::write(folder.join("new"), text).unwrap();
    std::fs::rename(folder.join("new"), &web).unwrap();
    until("it is turned away", || up("0"));
    assert_eq!(daemon.stop().code, Some(0));
}

#[test]
fn a_web_file_that_is_wrong_is_no_server_without_protection() {
    let sandbox = sandbox();
    sandbox.write("tls/web.yml", "basic_auth_users:\n  prometheus: hunter2\n");
    let output = command(&sandbox, &["serve", "--listen", "127.0.0.1:0"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("has no bcrypt hash") && !said.contains("hunter2"), "{said}");
}
