//! Where a node stands among all others when a share of them is meant: the same on every machine and in
//! every version, because the places of nodes must not move with an upgrade.

use sha2::{Digest as _, Sha256};

/// The first 8 bytes, big endian, of the SHA-256 over the words, each after its length (8 bytes, little
/// endian). What is drawn begins with a word of its own, so that two draws of one node are independent.
pub fn place(words: &[&str]) -> u64 {
    let mut digest = Sha256::new();
    for word in words {
        digest.update((word.len() as u64).to_le_bytes());
        digest.update(word.as_bytes());
    }
    let bytes: [u8; 32] = digest.finalize().into();
    bytes.iter().take(8).fold(0, |all, byte| all << 8 | u64::from(*byte))
}

/// Whether a node is in a share of the nodes that have a flag, in millionths. A share that rises only adds
/// nodes.
pub fn has_flag(salt: &str, node: &str, millionths: u32) -> bool {
    place(&["flag", salt, node]) % 1_000_000 < u64::from(millionths)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed by another program: Python's hashlib over the same words.
    #[test]
    fn places_never_move() {
        assert_eq!(
            place(&["flag", "people/dark-mode", "web1.xyz.example"]),
            9_357_137_404_827_684_737
        );
    }

    #[test]
    fn a_rising_share_only_adds_nodes() {
        let nodes: Vec<String> = (0..2_000).map(|it| format!("web{it}.xyz.example")).collect();
        let with = |share: u32| nodes.iter().filter(|it| has_flag("people/x", it, share)).count();
        assert_eq!((with(0), with(1_000_000)), (0, 2_000));
        let half: Vec<&String> =
            nodes.iter().filter(|it| has_flag("people/x", it, 500_000)).collect();
        assert!((900..1_100).contains(&half.len()), "{}", half.len());
        assert!(half.iter().all(|it| has_flag("people/x", it, 600_000)));
    }
}
