//! Reading a journal file, a torn one too.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::journal::SessionInfo;
use crate::journal::format::{
    ALIGNMENT, BLOCK_HEADER_BYTES, KIND_DATA, KIND_END, MAGIC, MAX_BLOCK_BYTES, VERSION,
};

/// A file that is not a readable journal.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file cannot be read.
    #[error("{path} cannot be read: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The file is something else, or of a later version.
    #[error("{path} is not a journal of this version: {what}")]
    NotAJournal {
        /// The file.
        path: PathBuf,
        /// What was found.
        what: String,
    },
}

/// A piece of what the client sent, as it arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Time since the session began.
    pub arrival: Duration,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// Reads a journal block by block, or as one stream of bytes by [`Read`].
///
/// A file that ends in the middle of a block, because the server was killed, gives the part that
/// is there.
#[derive(Debug)]
pub struct JournalReader {
    path: PathBuf,
    file: BufReader<File>,
    info: SessionInfo,
    end: Option<String>,
    current: Vec<u8>,
    position: usize,
    /// Bytes of the file that have been read.
    offset: usize,
    /// When [`Read`] began, where it keeps the recorded pace.
    paced_from: Option<Instant>,
}

impl JournalReader {
    /// Opens a journal file.
    ///
    /// # Errors
    /// The file cannot be read or is something else.
    pub fn open(path: &Path) -> Result<Self, JournalError> {
        let io = |source| JournalError::Io { path: path.to_owned(), source };
        let not_a_journal =
            |what: String| JournalError::NotAJournal { path: path.to_owned(), what };
        let mut file = BufReader::with_capacity(1 << 20, File::open(path).map_err(io)?);
        let mut start = [0; 24];
        file.read_exact(&mut start).map_err(|_| not_a_journal("it is too short".to_owned()))?;
        if &start[..16] != MAGIC {
            return Err(not_a_journal("its first bytes are others".to_owned()));
        }
        let version = u32_at(&start, 16);
        if version != VERSION {
            return Err(not_a_journal(format!("its version is {version}")));
        }
        let length = u32_at(&start, 20) as usize;
        if length > MAX_BLOCK_BYTES {
            return Err(not_a_journal(format!("its description claims {length} bytes")));
        }
        let mut info = vec![0; length];
        file.read_exact(&mut info).map_err(io)?;
        let info = serde_json::from_slice(&info)
            .map_err(|error| not_a_journal(format!("its description: {error}")))?;
        let (current, position, offset) = (Vec::new(), 0, start.len() + length);
        Ok(Self {
            path: path.to_owned(),
            file,
            info,
            end: None,
            current,
            position,
            offset,
            paced_from: None,
        })
    }

    /// Whose session it is.
    pub fn info(&self) -> &SessionInfo {
        &self.info
    }

    /// From now on [`Read`] gives each block when its time has come, as it was recorded.
    pub fn keep_pace(&mut self) {
        self.paced_from = Some(Instant::now());
    }

    /// Why the session ended: known once all blocks are read, [`None`] if the server was killed
    /// or the session still runs.
    pub fn end(&self) -> Option<&str> {
        self.end.as_deref()
    }

    /// The next block; [`None`] at the end.
    ///
    /// # Errors
    /// The file cannot be read, or what follows is no block.
    pub fn next_block(&mut self) -> Result<Option<Block>, JournalError> {
        let Some((kind, length, arrival)) = self.next_header()? else { return Ok(None) };
        if kind == KIND_END {
            self.end = Some(self.text(length)?);
            return Ok(None);
        }
        let mut bytes = vec![0; length];
        let n_read = self.fill(&mut bytes)?;
        bytes.truncate(n_read);
        Ok(Some(Block { arrival, bytes }))
    }

    /// Kind, length and arrival of the next block; [`None`] at the end.
    fn next_header(&mut self) -> Result<Option<(u32, usize, Duration)>, JournalError> {
        let mut gap = [0; ALIGNMENT];
        let gap = &mut gap[..self.offset.next_multiple_of(ALIGNMENT) - self.offset];
        self.fill(gap)?;
        let mut header = [0; BLOCK_HEADER_BYTES];
        if self.fill(&mut header)? < BLOCK_HEADER_BYTES {
            return Ok(None);
        }
        let (kind, length) = (u32_at(&header, 0), u32_at(&header, 4) as usize);
        let arrival_us = u64::from(u32_at(&header, 8)) | u64::from(u32_at(&header, 12)) << 32;
        if !matches!(kind, KIND_DATA | KIND_END) || length > MAX_BLOCK_BYTES {
            return Err(JournalError::NotAJournal {
                path: self.path.clone(),
                what: format!("a block of kind {kind} and {length} bytes"),
            });
        }
        Ok(Some((kind, length, Duration::from_micros(arrival_us))))
    }

    /// Reads over all blocks without taking them in; gives the arrival of the last one.
    ///
    /// # Errors
    /// As [`JournalReader::next_block`].
    pub fn skim(&mut self) -> Result<Duration, JournalError> {
        let mut last = Duration::ZERO;
        while let Some((kind, length, arrival)) = self.next_header()? {
            if kind == KIND_END {
                self.end = Some(self.text(length)?);
                break;
            }
            last = arrival;
            let io = |source| JournalError::Io { path: self.path.clone(), source };
            self.file.seek_relative(length as i64).map_err(io)?;
            self.offset += length;
        }
        Ok(last)
    }

    fn text(&mut self, length: usize) -> Result<String, JournalError> {
        let mut bytes = vec![0; length];
        let n_read = self.fill(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes[..n_read]).into_owned())
    }

    /// Reads until the buffer is full or the file ends.
    fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, JournalError> {
        let mut n_read = 0;
        while n_read < buffer.len() {
            match self.file.read(&mut buffer[n_read..]) {
                Ok(0) => break,
                Ok(n) => {
                    n_read += n;
                    self.offset += n;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(JournalError::Io { path: self.path.clone(), source }),
            }
        }
        Ok(n_read)
    }
}

impl Read for JournalReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.position == self.current.len() {
            match self.next_block().map_err(io::Error::other)? {
                Some(block) => {
                    if let Some(start) = self.paced_from {
                        std::thread::sleep(block.arrival.saturating_sub(start.elapsed()));
                    }
                    (self.current, self.position) = (block.bytes, 0);
                }
                None => return Ok(0),
            }
        }
        let waiting = &self.current[self.position..];
        let n = waiting.len().min(buffer.len());
        buffer[..n].copy_from_slice(&waiting[..n]);
        self.position += n;
        Ok(n)
    }
}

fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    let mut value = [0; 4];
    value.copy_from_slice(&bytes[offset..offset + 4]);
    u32::from_le_bytes(value)
}
