//! The form of a journal file.
//!
//! ```text
//! 16 bytes  "BORESIDE-JOURNAL"
//! u32       version, 1
//! u32 n     n bytes of JSON: SessionInfo
//! then, again and again, each time from a multiple of 4096 bytes on:
//! u32       kind: 1 bytes from the client, 2 the end of the session
//! u32 n     length
//! u64       µs since the session began
//! n bytes   what arrived, or why the session ended
//! ```
//! All numbers are little endian. The places between are zero: blocks are written past the
//! system's page cache, which takes whole sectors only.

use serde::{Deserialize, Serialize};

/// First bytes of a journal file.
pub const MAGIC: &[u8; 16] = b"BORESIDE-JOURNAL";

pub(crate) const VERSION: u32 = 1;
pub(crate) const BLOCK_HEADER_BYTES: usize = 16;
/// Blocks begin at multiples of this.
pub(crate) const ALIGNMENT: usize = 4096;
pub(crate) const KIND_DATA: u32 = 1;
pub(crate) const KIND_END: u32 = 2;

/// Blocks and session descriptions larger than this are not from this program.
pub(crate) const MAX_BLOCK_BYTES: usize = 64 << 20;

/// Whose connection a journal is of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionInfo {
    /// Number of the session.
    pub session: u64,
    /// When it began, ms since 1970.
    pub started_unix_ms: u64,
    /// Address of the client.
    pub peer: String,
    /// Version of the server.
    pub server_version: String,
}

/// The header of a block.
pub(crate) fn block_header(kind: u32, length: usize, arrival_us: u64) -> [u8; BLOCK_HEADER_BYTES] {
    let length = u32::try_from(length).unwrap_or(u32::MAX);
    let mut header = [0; BLOCK_HEADER_BYTES];
    header[..4].copy_from_slice(&kind.to_le_bytes());
    header[4..8].copy_from_slice(&length.to_le_bytes());
    header[8..].copy_from_slice(&arrival_us.to_le_bytes());
    header
}

/// Everything before the first block.
pub(crate) fn preamble(info: &SessionInfo) -> Vec<u8> {
    // A struct of numbers and text always has a JSON form.
    let info = serde_json::to_vec(info).unwrap_or_default();
    let mut bytes = MAGIC.to_vec();
    bytes.extend(VERSION.to_le_bytes());
    bytes.extend(u32::try_from(info.len()).unwrap_or(0).to_le_bytes());
    bytes.extend(info);
    bytes
}
