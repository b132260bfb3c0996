//! UIDs that are the same whenever they are made of the same.

use sha2::{Digest, Sha256};

/// A UID below 2.25, the root for UUIDs, that follows from `parts`: the same parts give the same one.
pub fn derived(parts: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    let digest = hash.finalize();
    let mut bytes = [0_u8; 16];
    bytes.copy_from_slice(&digest[..16]);
    // A UUID of version 8: made by a rule of our own (RFC 9562).
    bytes[6] = (bytes[6] & 0x0f) | 0x80;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    format!("2.25.{}", u128::from_be_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_parts_give_the_same_uid_and_others_another() {
        let uid = derived(&[b"study", b"1"]);
        assert_eq!(uid, derived(&[b"study", b"1"]));
        assert_ne!(uid, derived(&[b"study1", b""]));
        assert_eq!(crate::text::uid(&uid), Some(uid.clone()));
    }
}
