//! The journal: what arrived on each connection, byte for byte, with its time of arrival.
//!
//! One file per session in a folder that is kept below a size and an age. A session whose server
//! was killed can be read up to the last piece that the operating system was given.

mod format;
mod piece;
mod reader;
mod store;
mod writer;

pub use format::{MAGIC, SessionInfo};
pub use piece::Piece;
pub use reader::{Block, JournalError, JournalReader};
pub use store::{JournalEntry, JournalStore, path_in};
pub use writer::{JournalStopped, JournalWriter};
