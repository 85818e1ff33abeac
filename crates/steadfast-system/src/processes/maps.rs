//! What the kernel says of a process's memory: `/proc/PID/maps`, line by line.

use std::io::{self, BufRead, Read as _};

/// The longest path is escaped to four times its length.
const MAX_LINE: u64 = 64 * 1024;
const DELETED: &[u8] = b" (deleted)";

/// A file that is mapped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mapped {
    pub(super) device: (u32, u32),
    pub(super) inode: u64,
    /// The last part of its path.
    pub(super) name: Vec<u8>,
}

/// Gives each file that is mapped to `each`, several times where it is mapped in several pieces that do not lie beside
/// each other.
pub(super) fn read(mut maps: impl BufRead, mut each: impl FnMut(&Mapped)) -> io::Result<()> {
    let mut line = vec![];
    let mut last = None;
    loop {
        line.clear();
        if maps.by_ref().take(MAX_LINE).read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        let mapped = mapped(&line);
        if mapped.is_some() && mapped != last {
            mapped.iter().for_each(&mut each);
            last = mapped;
        }
    }
}

/// `55d0-55d4 r-xp 00001000 fd:01 1234    /usr/bin/perl`; none where it is no file.
fn mapped(line: &[u8]) -> Option<Mapped> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let mut rest = line;
    let mut word = || {
        let from = rest.iter().position(|it| *it != b' ')?;
        let long = rest[from..].iter().position(|it| *it == b' ').unwrap_or(rest.len() - from);
        let word = std::str::from_utf8(&rest[from..from + long]).ok();
        rest = &rest[from + long..];
        word
    };
    let (_range, _rights, _offset) = (word()?, word()?, word()?);
    let (major, minor) = word()?.split_once(':')?;
    let inode: u64 = word()?.parse().ok()?;
    if inode == 0 {
        return None;
    }
    let number = |it| u32::from_str_radix(it, 16).ok();
    let path = rest.strip_suffix(DELETED).unwrap_or(rest);
    let name = path.rsplit(|it| *it == b'/').next().unwrap_or_default().to_owned();
    Some(Mapped { device: (number(major)?, number(minor)?), inode, name })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_from_maps_and_nothing_else() {
        let text = "\
55d0c0-55d0c4 r--p 00000000 fd:01 1234                       /usr/bin/a b
55d0c4-55d0c8 r-xp 00004000 fd:01 1234                       /usr/bin/a b
7f00-7f01 rw-p 00000000 00:00 0                              [heap]
7f02-7f03 rw-p 00000000 00:00 0
7f04-7f05 r-xp 00000000 103:10 18446744073709551615          /srv/x/lib.so (deleted)
7f06-7f07 rw-s 00000000 00:01 77                             /memfd:/srv/x (deleted)
7f08-7f09 r--p 00000000 zz:01 5                              /x
garbage
7f0a-7f0b r--p 00000000 fe:00 9";
        let mut all = vec![];
        read(text.as_bytes(), |it| all.push(it.clone())).unwrap();
        let of = |device, inode, name: &str| Mapped { device, inode, name: name.into() };
        let wanted = [
            of((0xfd, 1), 1234, "a b"),
            of((0x103, 0x10), u64::MAX, "lib.so"),
            of((0, 1), 77, "x"),
            of((0xfe, 0), 9, ""),
        ];
        assert_eq!(all, wanted);
    }

    #[test]
    fn a_line_without_an_end_is_no_memory_without_an_end() {
        let endless = io::repeat(b'x').take(10 * MAX_LINE);
        let mut count = 0;
        read(io::BufReader::new(endless), |_| count += 1).unwrap();
        assert_eq!(count, 0);
    }
}
