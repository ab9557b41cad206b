//! Module zips: nothing that is accepted leads out of the module's folder, and no more comes out
//! of it than its directory admits.

use std::collections::HashSet;
use std::io::{self, Write as _};

use larder_core::Meter;
use larder_go::module_path::ModuleVersion;
use larder_go::module_zip::{ModuleZip, Scratch, Sink};
use larder_go::zip_rules::MAX_ZIP;

/// Holds every name against the folder, and counts.
#[derive(Default)]
struct Names {
    seen: HashSet<String>,
    bytes: u64,
    open: bool,
}

impl Sink for Names {
    fn begin(&mut self, name: &str) -> io::Result<()> {
        assert!(!self.open, "one member at a time");
        self.open = true;
        assert!(!name.is_empty() && !name.contains(['\\', ':', '\0']), "{name:?}");
        for element in name.split('/') {
            assert!(!matches!(element, "" | "." | ".."), "{name:?} leads out of the folder");
        }
        assert!(self.seen.insert(name.to_lowercase()), "{name:?} is there twice");
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.bytes += bytes.len() as u64;
        assert!(self.bytes <= MAX_ZIP);
        Ok(())
    }

    fn end(&mut self) -> io::Result<()> {
        self.open = false;
        Ok(())
    }
}

/// One input: the zip of example.com/m@v1.0.0.
pub(crate) fn run(data: &[u8]) {
    let mut file = tempfile::tempfile().expect("a temporary file");
    file.write_all(data).expect("write a temporary file");
    let module = ModuleVersion::new("example.com/m", "v1.0.0");
    let Ok(zip) = ModuleZip::open(file, &module) else { return };
    let (mut scratch, meter) = (Scratch::default(), Meter::default());
    let mut names = Names::default();
    let first = zip.unpack(&mut names, &mut scratch, &meter);
    let second = zip.content(&mut scratch, &meter);
    match (first, second) {
        (Ok(first), Ok(second)) => {
            assert_eq!((first.h1, first.folder_h1), (second.h1, second.folder_h1));
            assert_eq!(first.files.len(), names.seen.len());
            assert_eq!(first.files.len(), zip.files());
        }
        (Err(first), Err(second)) => assert_eq!(first.to_string(), second.to_string()),
        (first, second) => panic!("not the same twice: {first:?}, {second:?}"),
    }
}
