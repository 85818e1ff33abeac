//! Inputs made from good ones: cut, doubled, spliced, and with the words in them that parsers stumble over.

use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::sample::{Index, select};

/// What means something to one of the parsers, or is at the end of what a number can say.
const WORDS: &[&[u8]] = &[
    b"{{",
    b"}}",
    b"{% include 'a.j2' %}",
    b"${",
    b"&a [*a, *a]",
    b"<<: ",
    b"!!binary ",
    b"? ",
    b"- ",
    b": ",
    b"|\n",
    b"\"",
    b"'",
    b"[",
    b"{",
    b"#",
    b"\t",
    b"\r\n",
    b"\0",
    b"\xef\xbb\xbf",
    b"\xff",
    b"\xe2\x80\xae",
    b"\x1b[2J",
    b"../",
    b"/",
    b"-1",
    b"0o777",
    b"18446744073709551615",
    b"99999999999999999999",
    b"1e999",
    b"9999-12-31T23:59:59Z",
    b"-----BEGIN SSH SIGNATURE-----\n",
    b"-----END SSH SIGNATURE-----\n",
    b"gpgsig-sha256 x\n",
    b"40000 ",
    b"120000 ",
    b"\n%%\n",
    b"\nend 0 0\n",
];

#[derive(Clone, Debug)]
enum Edit {
    Bytes(Index, Vec<u8>),
    Word(Index, &'static [u8]),
    Replaced(Index, u8),
    Removed(Index, usize),
    /// Some bytes of it many times: what nests, nests deeper.
    Repeated(Index, usize, usize),
    /// A piece of another seed.
    Spliced(Index, Vec<u8>, Index, usize),
    CutOff(Index),
}

impl Edit {
    fn apply(self, bytes: &mut Vec<u8>) {
        let at = |index: Index, bytes: &[u8]| index.index(bytes.len() + 1);
        match self {
            Edit::Bytes(index, piece) => insert(bytes, at(index, bytes), &piece),
            Edit::Word(index, word) => insert(bytes, at(index, bytes), word),
            Edit::Replaced(index, byte) => {
                let at = at(index, bytes);
                if let Some(it) = bytes.get_mut(at) {
                    *it = byte;
                }
            }
            Edit::Removed(index, length) => {
                let from = at(index, bytes);
                let to = bytes.len().min(from + length);
                bytes.drain(from..to);
            }
            Edit::Repeated(index, length, times) => {
                let from = at(index, bytes);
                let piece = bytes[from..bytes.len().min(from + length)].repeat(times);
                insert(bytes, from, &piece);
            }
            Edit::Spliced(index, other, from, length) => {
                let from = at(from, &other);
                let piece = &other[from..other.len().min(from + length)];
                insert(bytes, at(index, bytes), piece);
            }
            Edit::CutOff(index) => bytes.truncate(index.index(bytes.len() + 1)),
        }
    }
}

fn insert(bytes: &mut Vec<u8>, at: usize, piece: &[u8]) {
    bytes.splice(at..at, piece.iter().copied());
}

fn edits(seeds: Vec<Vec<u8>>) -> impl Strategy<Value = Edit> {
    let place = any::<Index>;
    prop_oneof![
        2 => (place(), vec(any::<u8>(), 1..8)).prop_map(|(at, it)| Edit::Bytes(at, it)),
        4 => (place(), select(WORDS)).prop_map(|(at, it)| Edit::Word(at, it)),
        3 => (place(), any::<u8>()).prop_map(|(at, it)| Edit::Replaced(at, it)),
        3 => (place(), 1..64_usize).prop_map(|(at, it)| Edit::Removed(at, it)),
        1 => (place(), 1..16_usize, 1..500_usize).prop_map(|(at, it, n)| Edit::Repeated(at, it, n)),
        2 => (place(), select(seeds), place(), 1..200_usize)
            .prop_map(|(at, it, from, length)| Edit::Spliced(at, it, from, length)),
        1 => place().prop_map(Edit::CutOff),
    ]
}

/// Of one seed and a few edits; most often of few, so that most of it is still good.
pub(crate) fn inputs(seeds: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let count = prop_oneof![2 => Just(1_usize), 2 => 1..4_usize, 1 => 1..20_usize];
    let edits = edits(seeds.clone());
    let some = (count, vec(edits, 20)).prop_map(|(count, mut all)| {
        all.truncate(count);
        all
    });
    (select(seeds), some).prop_map(|(mut bytes, edits)| {
        for edit in edits {
            edit.apply(&mut bytes);
        }
        bytes
    })
}
