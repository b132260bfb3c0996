//! Sessions of the Boreside server.
//!
//! One port speaks both dialects of the MRD wire protocol, Gadgetron's and that of the Python
//! server (FIRE, OpenRecon): what arrives tells them apart. Every connection is a session with a
//! chain of its own; what it sends is journalled before it is worked on.
//!
//! On another port, [`control`] shows sessions and images to people and programs that watch.
//!
//! The crate knows no gadget: the program hands it a [`pipeline::ChainLibrary`].

mod choice;
pub mod control;
mod image_archive;
mod image_tap;
pub mod journal;
mod listener;
mod live;
mod map_archive;
mod memory;
mod noise_archive;
pub mod parameters;
mod private_database;
pub mod proto;
mod query;
mod replays;
mod session;
mod settings;

pub use choice::ChainChoice;
pub use image_tap::ImageTap;
pub use listener::{ServeError, Server};
pub use live::{LiveSettings, StoreLimits};
pub use map_archive::MapArchive;
pub use memory::{give_back_freed_memory, keep_freed_memory};
pub use noise_archive::{ArchiveError, NoiseArchive};
pub use settings::{JournalSettings, NoiseSettings, Settings, Timeouts};
