//! The file that keeps removed keys and earlier times to live: frames that are compressed, checksummed and durable one by
//! one, so that a file that was cut off anywhere gives back everything up to there.
//!
//! `larder keys 1\n`, then frames: length and CRC-32 of what follows as little-endian 32-bit
//! numbers, and that, deflated: one byte for what it is, and what it holds.
//!
//! - `H`, the header: JSON.
//! - `K`, keys: records of lengths of key and payload (LEB128), expiry (LEB128, milliseconds since
//!   1970, 0 for none), idle seconds and frequency (LEB128, one more than the number, 0 for
//!   unknown), key, payload of `DUMP`.
//! - `T`, times to live: records of the length of the key (LEB128), the earlier expiry and the one
//!   that was set (LEB128, as above), key.
//! - `V`, void: which of the `K` and `T` frames (LEB128, from 0) does not count, because its keys
//!   were not changed.
//! - `A`, again: a server was lost. What is kept from here on of a key counts more than what was
//!   kept of it before.
//! - `E`, the end: the number of keys in the frames that are not void (LEB128).

use std::collections::HashSet;
use std::collections::hash_map::RandomState;
use std::fs::{File, OpenOptions};
use std::hash::BuildHasher as _;
use std::io::{self, BufReader, Read, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use flate2::{Compression, Crc, read::DeflateDecoder, write::DeflateEncoder};
use serde::{Deserialize, Serialize};

const MAGIC: &[u8] = b"larder keys 1\n";
/// No frame that we write is longer: a value has 512 MB at most.
const LONGEST: u32 = 1 << 30;

/// What the file is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UndoHeader {
    /// What `trash restore` takes.
    pub id: String,
    /// `redis:NAME` or a URL.
    pub cache: String,
    /// Where that was; without a password.
    pub url: String,
    /// The plan that changed them.
    pub plan_id: String,
    /// Whether it keeps times to live, not keys.
    #[serde(default)]
    pub ttls: bool,
    /// Nanoseconds since 1970.
    pub created_at: i64,
    /// What wrote it.
    pub larder: String,
}

/// A key as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its bytes.
    pub key: Vec<u8>,
    /// What `DUMP` said, with its own version and checksum.
    pub dump: Vec<u8>,
    /// When it ends, in milliseconds since 1970.
    pub expires_at: Option<u64>,
    /// Seconds since somebody had touched it.
    pub idle: Option<u64>,
    /// How often it was used, under an LFU policy.
    pub frequency: Option<u64>,
}

/// A time to live as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TtlRecord {
    /// The key's bytes.
    pub key: Vec<u8>,
    /// When it was to end, in milliseconds since 1970.
    pub earlier: Option<u64>,
    /// When it is to end since then.
    pub set: u64,
}

/// What a frame of the file keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Records {
    /// Keys that went.
    Keys(Vec<Record>),
    /// Times to live that were changed.
    Ttls(Vec<TtlRecord>),
}

/// Writes the file.
#[derive(Debug)]
pub struct UndoWriter {
    file: File,
    keys: u64,
    /// `K` and `T` frames written.
    frames: u64,
    bytes: u64,
}

impl UndoWriter {
    /// Begins a new file; one that exists is not overwritten.
    pub fn create(path: &Path, header: &UndoHeader) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt as _;
            // It holds what the server would ask a password for.
            options.mode(0o600);
        }
        let mut file = options.open(path)?;
        file.write_all(MAGIC)?;
        let mut writer = Self { file, keys: 0, frames: 0, bytes: MAGIC.len() as u64 };
        writer.frame(b'H', &serde_json::to_vec(header)?)?;
        Ok(writer)
    }

    /// Writes records; they are on the disk when it returns. The ticket is for [`Self::void`].
    pub fn put(&mut self, records: &[Record]) -> io::Result<u64> {
        let mut bytes = Vec::new();
        for record in records {
            number(&mut bytes, record.key.len() as u64);
            number(&mut bytes, record.dump.len() as u64);
            number(&mut bytes, record.expires_at.unwrap_or(0));
            number(&mut bytes, record.idle.map_or(0, |idle| idle + 1));
            number(&mut bytes, record.frequency.map_or(0, |frequency| frequency + 1));
            bytes.extend_from_slice(&record.key);
            bytes.extend_from_slice(&record.dump);
        }
        self.kept(b'K', &bytes, records.len())
    }

    /// Writes times to live, likewise.
    pub fn put_ttls(&mut self, records: &[TtlRecord]) -> io::Result<u64> {
        let mut bytes = Vec::new();
        for record in records {
            number(&mut bytes, record.key.len() as u64);
            number(&mut bytes, record.earlier.unwrap_or(0));
            number(&mut bytes, record.set);
            bytes.extend_from_slice(&record.key);
        }
        self.kept(b'T', &bytes, records.len())
    }

    fn kept(&mut self, kind: u8, bytes: &[u8], records: usize) -> io::Result<u64> {
        let ticket = self.frames;
        if records > 0 {
            self.frame(kind, bytes)?;
            self.keys += records as u64;
            self.frames += 1;
        }
        Ok(ticket)
    }

    /// What follows of a key counts more than what stands there already.
    pub fn again(&mut self) -> io::Result<()> {
        self.frame(b'A', &[])
    }

    /// Takes back the so many records of a ticket: their keys did not go.
    pub fn void(&mut self, ticket: u64, records: u64) -> io::Result<()> {
        let mut which = Vec::new();
        number(&mut which, ticket);
        self.frame(b'V', &which)?;
        self.keys -= records;
        Ok(())
    }

    /// Ends the file.
    pub fn finish(mut self) -> io::Result<u64> {
        let mut count = Vec::new();
        number(&mut count, self.keys);
        self.frame(b'E', &count)?;
        Ok(self.bytes)
    }

    /// Keys in it.
    pub fn keys(&self) -> u64 {
        self.keys
    }

    /// Its length.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    fn frame(&mut self, kind: u8, content: &[u8]) -> io::Result<()> {
        let mut deflated = DeflateEncoder::new(Vec::new(), Compression::fast());
        deflated.write_all(&[kind])?;
        deflated.write_all(content)?;
        let deflated = deflated.finish()?;
        let length = u32::try_from(deflated.len()).ok().filter(|length| *length <= LONGEST);
        let length = length.ok_or_else(|| io::Error::other("a value is too large to be kept"))?;
        let mut crc = Crc::new();
        crc.update(&deflated);
        let mut framed = Vec::with_capacity(deflated.len() + 8);
        framed.extend_from_slice(&length.to_le_bytes());
        framed.extend_from_slice(&crc.sum().to_le_bytes());
        framed.extend_from_slice(&deflated);
        self.file.write_all(&framed)?;
        self.file.sync_data()?;
        self.bytes += framed.len() as u64;
        Ok(())
    }
}

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
pub enum UndoFileError {
    /// It cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It is none of these files.
    #[error("it is not a file of kept keys")]
    NotOne,
    /// It was changed, or its disk fails.
    #[error("it is damaged: {0}")]
    Damaged(&'static str),
}

/// Reads the file, a frame at a time.
#[derive(Debug)]
pub struct UndoReader {
    file: BufReader<File>,
    header: UndoHeader,
    /// Records of frames that are not void, so far.
    read: u64,
    /// `K` and `T` frames so far.
    frames: u64,
    /// What does not count; `None` before the first was read.
    ahead: Option<Ahead>,
    /// Whether an `A` has been met.
    again: bool,
    whole: bool,
}

/// What is known of a file before its first record is read.
#[derive(Clone, Debug, Default)]
struct Ahead {
    /// Frames that a later one voids.
    void: HashSet<u64>,
    /// Hashes of the keys that are kept after the first `A`.
    later: HashSet<u64>,
    hasher: RandomState,
}

impl UndoReader {
    /// Opens a file and reads its header.
    pub fn open(path: &Path) -> Result<Self, UndoFileError> {
        let mut file = BufReader::new(File::open(path)?);
        let mut magic = [0; MAGIC.len()];
        match file.read_exact(&mut magic) {
            Ok(()) if magic == MAGIC => {}
            Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => return Err(error.into()),
            _ => return Err(UndoFileError::NotOne),
        }
        let header = match frame(&mut file)? {
            Some((b'H', content)) => serde_json::from_slice(&content)
                .map_err(|_| UndoFileError::Damaged("its header cannot be read"))?,
            _ => return Err(UndoFileError::Damaged("its header is missing")),
        };
        Ok(Self { file, header, read: 0, frames: 0, ahead: None, again: false, whole: false })
    }

    /// What the file is about.
    pub fn header(&self) -> &UndoHeader {
        &self.header
    }

    /// Whether the end was reached and every key had been there.
    pub fn whole(&self) -> bool {
        self.whole
    }

    /// How many records count in a file that does not tell, because it was cut off. It is read to
    /// its end; what is damaged ends it.
    pub fn count(mut self) -> u64 {
        while let Ok(Some(_)) = self.next_records() {}
        self.read
    }

    /// Goes through the rest of the file once. What is damaged is told when it is come to.
    fn look_ahead(&mut self) -> Result<Ahead, UndoFileError> {
        let here = self.file.stream_position()?;
        let (mut void, mut again) = (HashSet::new(), false);
        while let Ok(Some((kind, content))) = frame(&mut self.file) {
            match kind {
                b'V' => void.extend(take(&mut content.as_slice())),
                b'A' => again = true,
                _ => {}
            }
        }
        self.file.seek(SeekFrom::Start(here))?;
        let mut ahead = Ahead { void, ..Ahead::default() };
        if again {
            self.look_for_later(&mut ahead)?;
            self.file.seek(SeekFrom::Start(here))?;
        }
        Ok(ahead)
    }

    fn look_for_later(&mut self, ahead: &mut Ahead) -> Result<(), UndoFileError> {
        let (mut again, mut at) = (false, 0);
        while let Ok(Some((kind, content))) = frame(&mut self.file) {
            again |= kind == b'A';
            let Some(records) = records(kind, &content)? else { continue };
            if again && !ahead.void.contains(&at) {
                let hashes = records.keys().map(|key| ahead.hasher.hash_one(key));
                ahead.later.extend(hashes.collect::<Vec<_>>());
            }
            at += 1;
        }
        Ok(())
    }

    /// The next records; `None` at the end, also where the file was cut off.
    pub fn next_records(&mut self) -> Result<Option<Records>, UndoFileError> {
        let ahead = match self.ahead.take() {
            Some(ahead) => ahead,
            None => self.look_ahead()?,
        };
        let records = self.next_of(&ahead);
        self.ahead = Some(ahead);
        records
    }

    fn next_of(&mut self, ahead: &Ahead) -> Result<Option<Records>, UndoFileError> {
        loop {
            let Some((kind, content)) = frame(&mut self.file)? else { return Ok(None) };
            if let Some(mut records) = records(kind, &content)? {
                self.frames += 1;
                if ahead.void.contains(&(self.frames - 1)) {
                    continue;
                }
                self.read += records.keys().count() as u64;
                if !self.again && !ahead.later.is_empty() {
                    records.retain(|key| !ahead.later.contains(&ahead.hasher.hash_one(key)));
                }
                return Ok(Some(records));
            }
            match kind {
                b'V' => {}
                b'A' => self.again = true,
                b'E' => {
                    self.whole = take(&mut content.as_slice()) == Some(self.read);
                    return Ok(None);
                }
                _ => return Err(UndoFileError::Damaged("it holds what this larder does not know")),
            }
        }
    }
}

impl Records {
    /// The keys that it is about.
    fn keys(&self) -> Box<dyn Iterator<Item = &[u8]> + '_> {
        match self {
            Self::Keys(records) => Box::new(records.iter().map(|record| record.key.as_slice())),
            Self::Ttls(records) => Box::new(records.iter().map(|record| record.key.as_slice())),
        }
    }

    fn retain(&mut self, keep: impl Fn(&[u8]) -> bool) {
        match self {
            Self::Keys(records) => records.retain(|record| keep(&record.key)),
            Self::Ttls(records) => records.retain(|record| keep(&record.key)),
        }
    }
}

/// The records of a frame of this kind; `None` where it is one without.
fn records(kind: u8, content: &[u8]) -> Result<Option<Records>, UndoFileError> {
    let cut = || UndoFileError::Damaged("a record is cut off");
    let mut rest = content;
    match kind {
        b'K' => {
            let mut records = Vec::new();
            while !rest.is_empty() {
                records.push(record(&mut rest).ok_or_else(cut)?);
            }
            Ok(Some(Records::Keys(records)))
        }
        b'T' => {
            let mut records = Vec::new();
            while !rest.is_empty() {
                records.push(ttl_record(&mut rest).ok_or_else(cut)?);
            }
            Ok(Some(Records::Ttls(records)))
        }
        _ => Ok(None),
    }
}

/// The next frame; `None` where the file ends or was cut off.
fn frame(file: &mut impl Read) -> Result<Option<(u8, Vec<u8>)>, UndoFileError> {
    let mut head = [0; 8];
    if !filled(file, &mut head)? {
        return Ok(None);
    }
    let [a, b, c, d, crc @ ..] = head;
    let length = u32::from_le_bytes([a, b, c, d]);
    if length > LONGEST {
        return Err(UndoFileError::Damaged("a length makes no sense"));
    }
    let mut deflated = Vec::new();
    file.take(u64::from(length)).read_to_end(&mut deflated)?;
    if deflated.len() as u64 != u64::from(length) {
        return Ok(None);
    }
    let mut sum = Crc::new();
    sum.update(&deflated);
    if sum.sum() != u32::from_le_bytes(crc) {
        return Err(UndoFileError::Damaged("a checksum does not fit"));
    }
    let mut content = Vec::new();
    DeflateDecoder::new(deflated.as_slice())
        .read_to_end(&mut content)
        .map_err(|_| UndoFileError::Damaged("a frame cannot be inflated"))?;
    if content.is_empty() {
        return Err(UndoFileError::Damaged("a frame is empty"));
    }
    let kind = content.remove(0);
    Ok(Some((kind, content)))
}

fn filled(file: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match file.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

fn record(rest: &mut &[u8]) -> Option<Record> {
    let key = usize::try_from(take(rest)?).ok()?;
    let dump = usize::try_from(take(rest)?).ok()?;
    let expires_at = take(rest)?;
    let idle = take(rest)?;
    let frequency = take(rest)?;
    let (key, after) = rest.split_at_checked(key)?;
    let (dump, after) = after.split_at_checked(dump)?;
    *rest = after;
    Some(Record {
        key: key.to_vec(),
        dump: dump.to_vec(),
        expires_at: (expires_at > 0).then_some(expires_at),
        idle: idle.checked_sub(1),
        frequency: frequency.checked_sub(1),
    })
}

fn ttl_record(rest: &mut &[u8]) -> Option<TtlRecord> {
    let key = usize::try_from(take(rest)?).ok()?;
    let earlier = take(rest)?;
    let set = take(rest)?;
    let (key, after) = rest.split_at_checked(key)?;
    *rest = after;
    Some(TtlRecord { key: key.to_vec(), earlier: (earlier > 0).then_some(earlier), set })
}

/// LEB128.
fn number(bytes: &mut Vec<u8>, mut number: u64) {
    loop {
        let low = u8::try_from(number & 0x7f).unwrap_or(0);
        number >>= 7;
        bytes.push(if number == 0 { low } else { low | 0x80 });
        if number == 0 {
            return;
        }
    }
}

fn take(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (&byte, after) = rest.split_first()?;
        *rest = after;
        number |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> UndoHeader {
        UndoHeader {
            id: "0a1b2c3d".to_owned(),
            cache: "redis:sessions".to_owned(),
            url: "redis://127.0.0.1:6379/0".to_owned(),
            plan_id: "11111111".to_owned(),
            ttls: false,
            created_at: 1,
            larder: "0.1.0".to_owned(),
        }
    }

    fn records(from: u64) -> Vec<Record> {
        (from..from + 10)
            .map(|n| Record {
                key: vec![0, 255, b'\n', u8::try_from(n).unwrap()],
                dump: vec![7; usize::try_from(n).unwrap() * 100],
                expires_at: (n % 2 == 0).then_some(1_700_000_000_000 + n),
                idle: Some(n),
                frequency: None,
            })
            .collect()
    }

    fn read(path: &Path) -> Result<(Vec<Record>, bool), UndoFileError> {
        let mut reader = UndoReader::open(path)?;
        let mut all = Vec::new();
        while let Some(records) = reader.next_records()? {
            match records {
                Records::Keys(records) => all.extend(records),
                Records::Ttls(_) => panic!("these are keys"),
            }
        }
        Ok((all, reader.whole()))
    }

    #[test]
    fn what_was_kept_comes_back_also_from_a_file_that_was_cut_off() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys");
        let mut writer = UndoWriter::create(&path, &header()).unwrap();
        writer.put(&records(0)).unwrap();
        writer.put(&records(10)).unwrap();
        assert_eq!(writer.keys(), 20);
        writer.finish().unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let all: Vec<Record> = records(0).into_iter().chain(records(10)).collect();
        assert_eq!(read(&path).unwrap(), (all.clone(), true));
        assert_eq!(UndoReader::open(&path).unwrap().header(), &header());

        let cut = dir.path().join("cut");
        for length in 0..bytes.len() {
            std::fs::write(&cut, &bytes[..length]).unwrap();
            match read(&cut) {
                Ok((some, whole)) => {
                    assert!(!whole && all.starts_with(&some), "cut at {length}");
                    assert!(matches!(some.len(), 0 | 10 | 20), "cut at {length}: {}", some.len());
                }
                Err(UndoFileError::NotOne | UndoFileError::Damaged(_)) => {}
                Err(error) => panic!("cut at {length}: {error}"),
            }
        }
    }

    #[test]
    fn what_was_voided_does_not_come_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys");
        let mut writer = UndoWriter::create(&path, &header()).unwrap();
        writer.put(&records(0)).unwrap();
        let ticket = writer.put(&records(10)).unwrap();
        writer.put(&records(20)).unwrap();
        writer.void(ticket, 10).unwrap();
        writer.put(&records(30)).unwrap();
        assert_eq!(writer.keys(), 30);
        writer.finish().unwrap();
        let left: Vec<Record> = [0, 20, 30].into_iter().flat_map(records).collect();
        assert_eq!(read(&path).unwrap(), (left, true));
    }

    #[test]
    fn a_flipped_bit_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys");
        let mut writer = UndoWriter::create(&path, &header()).unwrap();
        writer.put(&records(0)).unwrap();
        writer.finish().unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let whole = read(&path).unwrap().0;
        for at in 0..bytes.len() {
            let mut wrong = bytes.clone();
            wrong[at] ^= 0x10;
            std::fs::write(&path, &wrong).unwrap();
            if let Ok((some, complete)) = read(&path) {
                assert!(!complete && whole.starts_with(&some), "bit at {at} was not seen");
            }
        }
    }

    #[test]
    fn what_is_kept_again_after_a_loss_counts_more() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys");
        let mut writer = UndoWriter::create(&path, &header()).unwrap();
        writer.put(&records(0)).unwrap();
        writer.again().unwrap();
        let ticket = writer.put(&records(0)).unwrap();
        writer.void(ticket, 10).unwrap();
        let other: Vec<Record> = records(0)[..4]
            .iter()
            .map(|r| Record { dump: b"other".to_vec(), ..r.clone() })
            .collect();
        writer.put(&other).unwrap();
        writer.finish().unwrap();
        let left: Vec<Record> = records(0)[4..].iter().chain(&other).cloned().collect();
        assert_eq!(read(&path).unwrap(), (left, true));
    }

    #[test]
    fn times_to_live_come_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ttls");
        let mut writer = UndoWriter::create(&path, &header()).unwrap();
        let ttls: Vec<TtlRecord> = (0..50_u64)
            .map(|n| TtlRecord {
                key: vec![0, 255, b'\n', u8::try_from(n).unwrap()],
                earlier: (n % 2 == 0).then_some(1_700_000_000_000 + n),
                set: 1_800_000_000_000 + n,
            })
            .collect();
        writer.put_ttls(&ttls).unwrap();
        writer.finish().unwrap();
        let mut reader = UndoReader::open(&path).unwrap();
        assert_eq!(reader.next_records().unwrap(), Some(Records::Ttls(ttls)));
        assert_eq!(reader.next_records().unwrap(), None);
        assert!(reader.whole());
    }
}
