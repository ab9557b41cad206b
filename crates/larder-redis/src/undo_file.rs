//! The file that keeps removed keys: frames that are compressed, checksummed and durable one by
//! one, so that a file that was cut off anywhere gives back everything up to there.
//!
//! `larder keys 1\n`, then frames: length and CRC-32 of what follows as little-endian 32-bit
//! numbers, and that, deflated: one byte for what it is (`H` header, `K` keys, `V` void, `E` end),
//! and the header as JSON, the records one after the other, which of the `K` frames (LEB128, from 0) is
//! void because its keys did not go, or the number of keys in those that count. A record is: lengths
//! of key and payload (LEB128), expiry (LEB128, milliseconds since 1970, 0 for none), idle
//! seconds and frequency (LEB128, one more than the number, 0 for unknown), key, payload of
//! `DUMP`.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
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
    /// The plan that removed them.
    pub plan_id: String,
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

/// Writes the file.
#[derive(Debug)]
pub struct UndoWriter {
    file: File,
    keys: u64,
    /// `K` frames written.
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
        let ticket = self.frames;
        if records.is_empty() {
            return Ok(ticket);
        }
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
        self.frame(b'K', &bytes)?;
        self.keys += records.len() as u64;
        self.frames += 1;
        Ok(ticket)
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
    /// Records that count, so far.
    read: u64,
    /// `K` frames so far.
    frames: u64,
    /// Those that do not count; `None` before the first was read.
    void: Option<HashSet<u64>>,
    whole: bool,
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
        Ok(Self { file, header, read: 0, frames: 0, void: None, whole: false })
    }

    /// What the file is about.
    pub fn header(&self) -> &UndoHeader {
        &self.header
    }

    /// Whether the end was reached and every key had been there.
    pub fn whole(&self) -> bool {
        self.whole
    }

    /// The frames that a later one voids. What is damaged is told when it is come to.
    fn look_ahead(&mut self) -> Result<HashSet<u64>, UndoFileError> {
        let here = self.file.stream_position()?;
        let mut void = HashSet::new();
        while let Ok(Some((kind, content))) = frame(&mut self.file) {
            if kind == b'V' {
                void.extend(take(&mut content.as_slice()));
            }
        }
        self.file.seek(SeekFrom::Start(here))?;
        Ok(void)
    }

    /// The next records; `None` at the end, also where the file was cut off.
    pub fn next_records(&mut self) -> Result<Option<Vec<Record>>, UndoFileError> {
        let void = match self.void.take() {
            Some(void) => void,
            None => self.look_ahead()?,
        };
        let void = self.void.insert(void);
        let (kind, content) = loop {
            match frame(&mut self.file)? {
                None => return Ok(None),
                Some((b'K', content)) => {
                    self.frames += 1;
                    if !void.contains(&(self.frames - 1)) {
                        break (b'K', content);
                    }
                }
                Some((b'V', _)) => {}
                Some(other) => break other,
            }
        };
        let mut rest = content.as_slice();
        match kind {
            b'K' => {
                let mut records = Vec::new();
                while !rest.is_empty() {
                    records.push(
                        record(&mut rest).ok_or(UndoFileError::Damaged("a record is cut off"))?,
                    );
                }
                self.read += records.len() as u64;
                Ok(Some(records))
            }
            b'E' => {
                self.whole = take(&mut rest) == Some(self.read);
                Ok(None)
            }
            _ => Err(UndoFileError::Damaged("it holds what this larder does not know")),
        }
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
            all.extend(records);
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
}
