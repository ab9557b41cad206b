//! What a module proxy answers: `list` and `.info`, from a proxy that is a folder.

use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use larder_core::Meter;
use larder_modules::{NetOptions, NetSettings, Proxies};

/// The folder of the one module of a proxy of this process.
struct Proxy {
    dir: tempfile::TempDir,
    proxies: Proxies,
}

static PROXY: LazyLock<Proxy> = LazyLock::new(|| {
    let dir = tempfile::tempdir().expect("a temporary folder");
    fs::create_dir_all(dir.path().join("example.com/m/@v")).expect("a temporary folder");
    let path = dir.path().display().to_string().replace('\\', "/");
    let slash = if path.starts_with('/') { "" } else { "/" };
    let settings =
        NetSettings { goproxy: format!("file://{slash}{path}"), ..NetSettings::default() };
    let proxies = Proxies::new(&settings, NetOptions::default()).expect("a folder");
    Proxy { dir, proxies }
});

/// One input: as the list, and as the .info of v1.0.0.
pub(crate) fn run(data: &[u8]) {
    let proxy = &*PROXY;
    let versions: PathBuf = proxy.dir.path().join("example.com/m/@v");
    fs::write(versions.join("list"), data).expect("write a list");
    // Only a web page is refused.
    if let Ok(listed) = proxy.proxies.list("example.com/m") {
        for version in &listed {
            assert!(version.starts_with('v') && !version.contains(char::is_whitespace));
        }
        fs::write(versions.join("list"), listed.join("\n")).expect("write a list");
        assert_eq!(proxy.proxies.list("example.com/m").expect("a list"), listed);
    }

    fs::write(versions.join("v1.0.0.info"), data).expect("write an info");
    if let Ok(info) = proxy.proxies.info("example.com/m", "v1.0.0", &Meter::default()) {
        assert_eq!(info, data, "an .info is kept as it was served");
    }
}
