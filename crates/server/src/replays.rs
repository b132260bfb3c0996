//! Which connections are replays of this server's own: they come from addresses that it knows.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

use tokio::sync::oneshot;

/// Replays whose connection is there and whose session has not begun.
#[derive(Debug, Default)]
pub(crate) struct Replays(Mutex<HashMap<SocketAddr, ExpectedReplay>>);

/// A replay whose session is expected.
#[derive(Debug)]
pub(crate) struct ExpectedReplay {
    /// What is replayed, in words.
    pub what: String,
    begun: oneshot::Sender<u64>,
}

impl ExpectedReplay {
    /// Its session has this number.
    pub fn has_begun(self, session: u64) {
        // Who started it may have gone.
        let _ = self.begun.send(session);
    }
}

impl Replays {
    /// A replay connects from this address. The receiver gets its session's number.
    pub fn expect(&self, from: SocketAddr, what: String) -> oneshot::Receiver<u64> {
        let (begun, receiver) = oneshot::channel();
        let mut expected = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Those whose starters have gone will not come any more.
        expected.retain(|_, replay| !replay.begun.is_closed());
        expected.insert(canonical(from), ExpectedReplay { what, begun });
        receiver
    }

    /// The replay that connects from this address, if it is one.
    pub fn take(&self, peer: SocketAddr) -> Option<ExpectedReplay> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&canonical(peer))
    }
}

/// An IPv4 address has two forms where a server listens on both.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replay_is_known_by_its_address_once() {
        let replays = Replays::default();
        let address = SocketAddr::from(([127, 0, 0, 1], 5));
        let mut session = replays.expect(address, "session 3".to_owned());
        let mapped: SocketAddr = "[::ffff:127.0.0.1]:5".parse().expect("an address");
        let replay = replays.take(mapped).expect("it was announced");
        assert_eq!(replay.what, "session 3");
        replay.has_begun(8);
        assert_eq!(session.try_recv(), Ok(8));
        assert!(replays.take(address).is_none());
    }
}
