//! Module zips: every rule, every lie, and extraction held against the go command's own.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;

use larder_core::Meter;
use larder_go::extract::Extraction;
use larder_go::h1::H1;
use larder_go::mod_names::download_folder;
use larder_go::module_path::ModuleVersion;
use larder_go::module_zip::{ModuleZip, Scratch, ZipError};
use larder_testkit::{GoSandbox, Txtar, diff, module_source, real_modules, snapshot, timeless};

use crate::mod_support::scan_of;

/// A zip of these members in this order, which may be against every rule.
fn zip_of(path: &Path, members: &[(String, Vec<u8>)]) {
    let mut archive = rawzip::ZipArchiveWriter::new(File::create(path).unwrap());
    for (name, content) in members {
        let file = archive.new_file(name).compression_method(rawzip::CompressionMethod::DEFLATE);
        let (mut entry, config) = file.start().unwrap();
        let encoder = flate2::write::DeflateEncoder::new(&mut entry, flate2::Compression::fast());
        let mut writer = config.wrap(encoder);
        writer.write_all(content).unwrap();
        let (encoder, descriptor) = writer.finish().unwrap();
        encoder.finish().unwrap();
        entry.finish(descriptor).unwrap();
    }
    archive.finish().unwrap();
}

fn hash(path: &Path, module: &ModuleVersion) -> Result<H1, ZipError> {
    let zip = ModuleZip::open(File::open(path).unwrap(), module)?;
    Ok(zip.content(&mut Scratch::default(), &Meter::default())?.h1)
}

/// `example.com/m@v1.0.0` with one file of this content, changed by `lie`.
fn lying(content: &[u8], lie: impl FnOnce(&mut Vec<u8>)) -> Result<H1, ZipError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.zip");
    zip_of(&path, &[("example.com/m@v1.0.0/a.go".to_owned(), content.to_vec())]);
    let mut bytes = fs::read(&path).unwrap();
    lie(&mut bytes);
    fs::write(&path, bytes).unwrap();
    hash(&path, &ModuleVersion::new("example.com/m", "v1.0.0"))
}

/// Where the entry of the zip's directory begins (`PK\x01\x02`).
fn directory(bytes: &[u8]) -> usize {
    bytes.windows(4).rposition(|four| four == b"PK\x01\x02").unwrap()
}

fn set32(bytes: &mut [u8], at: usize, value: u32) {
    bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

#[test]
fn the_vectors_of_x_mod_are_taken_or_refused_as_there() {
    let source = module_source("golang.org/x/mod", "v0.30.0").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut seen = (0, 0);
    for entry in fs::read_dir(source.join("zip/testdata/unzip")).unwrap() {
        let file = entry.unwrap().path();
        let text = Txtar::parse(&fs::read(&file).unwrap());
        let value = |key: &str| {
            let comment = String::from_utf8_lossy(&text.comment);
            let lines = comment.lines().map(|line| line.split('#').next().unwrap());
            let mut pairs = lines.filter_map(|line| line.split_once('='));
            pairs.find(|(k, _)| k.trim() == key).map(|(_, v)| v.trim().to_owned())
        };
        let module = ModuleVersion::new(
            value("path").unwrap_or_default(),
            value("version").unwrap_or_default(),
        );
        let path = dir.path().join("x.zip");
        zip_of(&path, &text.files);
        let answer = hash(&path, &module);
        match value("wantErr") {
            Some(want) => {
                seen.0 += 1;
                assert!(answer.is_err(), "{}: taken, but {want}", file.display());
            }
            None => {
                seen.1 += 1;
                assert!(answer.is_ok(), "{}: {answer:?}", file.display());
            }
        }
    }
    assert!(seen.0 >= 8 && seen.1 >= 3, "{seen:?} vectors");
}

#[test]
fn a_zip_that_lies_about_its_sizes_is_refused() {
    let content = vec![b'x'; 5000];
    assert!(lying(&content, |_| {}).is_ok());
    type Lie = fn(&mut Vec<u8>);
    let cases: [(&str, Lie); 7] = [
        ("larger than declared", |b| {
            let at = directory(b);
            set32(b, at + 24, 4999);
        }),
        ("smaller than declared", |b| {
            let at = directory(b);
            set32(b, at + 24, 5001);
        }),
        ("its CRC is wrong", |b| {
            let at = directory(b);
            set32(b, at + 16, 1);
        }),
        ("larger than 524288000 bytes", |b| {
            let at = directory(b);
            set32(b, at + 24, 600 << 20);
        }),
        ("it ends after the zip does", |b| {
            let at = directory(b);
            set32(b, at + 20, 1 << 20);
        }),
        ("its header is not", |b| {
            let at = directory(b);
            set32(b, at + 42, 3);
        }),
        ("packed in a way", |b| {
            let at = directory(b);
            b[at + 10] = 12;
        }),
    ];
    for (why, lie) in cases {
        let error = lying(&content, lie).unwrap_err();
        assert!(error.is_bad_zip() && error.to_string().contains(why), "{why}: {error}");
    }
}

#[test]
fn a_bomb_is_refused_before_it_goes_off() {
    // Declared small, inflates to a thousand times that; in a member that is inflated whole and
    // in one that flows.
    for size in [1 << 20, 8 << 20] {
        let content = vec![0; size];
        let error = lying(&content, |bytes| {
            let at = directory(bytes);
            set32(bytes, at + 24, 1000);
        });
        assert!(error.unwrap_err().to_string().contains("larger than declared"));
    }
}

#[test]
fn no_cut_and_no_flipped_byte_panics() {
    let content: Vec<u8> = (0..600u32).flat_map(|n| (n * n).to_le_bytes()).collect();
    let whole = lying(&content, |_| {}).unwrap();
    let mut length = 0;
    lying(&content, |bytes| length = bytes.len()).unwrap();
    for at in 0..length {
        assert!(lying(&content, |bytes| bytes.truncate(at)).is_err(), "cut at {at}");
    }
    for at in (0..length).step_by(7) {
        // What is taken in spite of it (a date, a comment) has the same content.
        if let Ok(hash) = lying(&content, |bytes| bytes[at] ^= 0xff) {
            assert_eq!(hash, whole, "flipped {at}");
        }
    }
}

#[test]
fn extraction_leaves_what_go_leaves() {
    let real = real_modules().unwrap();
    let mut sandbox = GoSandbox::new();
    sandbox.proxy(&real.url());
    let project = sandbox.project("app", &real.project());
    sandbox.go(&["mod", "download"], &project);
    let cache = sandbox.gomodcache();
    let by_go = timeless(snapshot(&cache));
    let root = larder_fs::Dir::open_root(&cache).unwrap();
    let (meter, mut scratch) = (Meter::default(), Scratch::default());
    let scan = scan_of(&cache);
    assert!(scan.versions.iter().filter(|v| v.is_complete()).count() >= 5);
    for version in scan.versions.iter().filter(|version| version.is_complete()) {
        let module = ModuleVersion::new(&*version.module, &*version.version);
        let downloads = root.open_path(&download_folder(&module.path).unwrap()).unwrap();
        let name = larder_go::module_path::escape_version(&module.version).unwrap();
        let file = downloads.open_file(format!("{name}.zip").as_ref()).unwrap();
        let ziphash = downloads.read(format!("{name}.ziphash").as_ref(), 100).unwrap();
        let zip = ModuleZip::open(file, &module).unwrap();
        // What stands there, made by Go, makes room first.
        let extraction = Extraction::begin(&root, &downloads, &module, false, &meter).unwrap();
        assert!(downloads.path().join(format!("{name}.partial")).exists());
        let content = extraction.unpack(&zip, &mut scratch).unwrap();
        assert_eq!(content.h1.to_string().as_bytes(), ziphash);
        extraction.finish().unwrap();
    }
    let difference = diff(&by_go, &timeless(snapshot(&cache)));
    assert!(difference.is_empty(), "{difference}");
}

#[test]
fn what_cannot_be_unpacked_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let root = larder_fs::Dir::open_root(dir.path()).unwrap();
    let module = ModuleVersion::new("example.com/m", "v1.0.0");
    let downloads = dir.path().join("cache/download/example.com/m/@v");
    fs::create_dir_all(&downloads).unwrap();
    let downloads = root.open_path(Path::new("cache/download/example.com/m/@v")).unwrap();
    let path = dir.path().join("x.zip");
    let name = |name: &str| format!("example.com/m@v1.0.0/{name}");
    zip_of(&path, &[(name("a/b.go"), b"one".to_vec()), (name("c.go"), vec![b'y'; 3000])]);
    let mut bytes = fs::read(&path).unwrap();
    let at = directory(&bytes);
    set32(&mut bytes, at + 16, 7);
    fs::write(&path, bytes).unwrap();
    let before = snapshot(dir.path());
    let meter = Meter::default();
    let zip = ModuleZip::open(File::open(&path).unwrap(), &module).unwrap();
    let extraction = Extraction::begin(&root, &downloads, &module, false, &meter).unwrap();
    assert!(extraction.unpack(&zip, &mut Scratch::default()).is_err());
    assert!(dir.path().join("example.com/m@v1.0.0/a/b.go").exists(), "it got half way");
    extraction.undo().unwrap();
    let difference = diff(&timeless(before), &timeless(snapshot(dir.path())));
    // The folder above the extracted one may stay, as it does for Go.
    let lines: Vec<_> = difference.lines().filter(|line| line.contains("m@v1")).collect();
    assert!(lines.is_empty(), "{difference}");
    assert!(!downloads.path().join("v1.0.0.partial").exists());
}

#[test]
fn a_wish_to_stop_never_leaves_half_a_folder_without_its_mark() {
    let dir = tempfile::tempdir().unwrap();
    let root = larder_fs::Dir::open_root(dir.path()).unwrap();
    let module = ModuleVersion::new("example.com/m", "v1.0.0");
    let downloads = dir.path().join("cache/download/example.com/m/@v");
    fs::create_dir_all(&downloads).unwrap();
    // What an earlier try left: half a folder, and its mark.
    let folder = dir.path().join("example.com/m@v1.0.0");
    fs::create_dir_all(folder.join("a")).unwrap();
    fs::write(folder.join("a/half.go"), "package a").unwrap();
    fs::write(downloads.join("v1.0.0.partial"), "").unwrap();
    let path = dir.path().join("x.zip");
    zip_of(&path, &[("example.com/m@v1.0.0/c.go".to_owned(), b"package c\n".to_vec())]);
    let meter = Meter::default();
    meter.stop();
    let downloads = root.open_path(Path::new("cache/download/example.com/m/@v")).unwrap();
    let zip = ModuleZip::open(File::open(&path).unwrap(), &module).unwrap();
    let extraction = Extraction::begin(&root, &downloads, &module, false, &meter).unwrap();
    let error = extraction.unpack(&zip, &mut Scratch::default()).unwrap_err();
    assert!(error.to_string().contains("stopped"), "{error}");
    extraction.undo().unwrap();
    assert!(!folder.exists(), "half a folder would be taken for whole");
    assert!(!downloads.path().join("v1.0.0.partial").exists());
}

/// Prints, for every letter that is not alone in its case fold, the letter and the smallest one
/// that folds to the same; and how many characters are letters.
const FOLDS: &str = r#"-- go.mod --
module folds

go 1.21
-- main.go --
package main

import (
	"fmt"
	"unicode"
)

func main() {
	for r := rune(0x80); r <= unicode.MaxRune; r++ {
		if !unicode.IsLetter(r) {
			continue
		}
		least := r
		for next := unicode.SimpleFold(r); next != r; next = unicode.SimpleFold(next) {
			if next < least {
				least = next
			}
		}
		fmt.Println(r, least)
	}
}
"#;

#[test]
fn letters_and_their_folds_are_those_of_go() {
    let sandbox = GoSandbox::new();
    let project = sandbox.project("folds", FOLDS);
    let said = sandbox.go_text(&["run", "."], &project);
    let mut letters = 0;
    for line in said.lines() {
        let chars: Vec<char> = line
            .split(' ')
            .map(|number| char::from_u32(number.parse().unwrap()).unwrap())
            .collect();
        let [letter, least] = chars[..] else { panic!("{line}") };
        letters += 1;
        let module = ModuleVersion::new("example.com/m", "v1.0.0");
        let mut rules = larder_go::zip_rules::ZipRules::new(&module).unwrap();
        let mut member = |c: char| rules.member(format!("example.com/m@v1.0.0/{c}").as_bytes(), 1);
        assert!(member(letter).is_ok(), "{letter:?} is a letter");
        if least != letter {
            assert!(member(least).is_err(), "{letter:?} and {least:?} are the same but for case");
        }
    }
    assert!(letters > 100_000, "{letters} letters");
}
