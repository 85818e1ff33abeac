//! What the kernel writes into the buffer of a fanotify group, from bytes. See fanotify(7): an event is a
//! header and records of information, each with its own length.

use nix::libc;

/// A directory, as a file system names it: where a handle means the same directory, it is the same directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    pub(super) file_system: u64,
    pub(super) kind: i32,
    pub(super) handle: Box<[u8]>,
}

/// What happened to a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Act {
    /// Its content was written, and nothing else.
    Written,
    /// It came, went, or has other owners or another mode.
    Changed,
}

/// One event as it stands in the buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Raw<'a> {
    pub pid: i32,
    /// The number of a descriptor of the process, which is ours from now on.
    pub pidfd: Option<i32>,
    /// The kernel says that the process is not there any more.
    pub ended: bool,
    pub act: Act,
    /// The directory, and the name in it; nothing where it says that events were lost.
    pub about: Option<(Place, &'a [u8])>,
}

/// What the header of an event takes.
const HEADER: usize = 24;
/// What a record of information begins with: its type, a byte of nothing, its length.
const RECORD: usize = 4;

/// The events of a buffer, up to the first that cannot be one.
pub(super) fn events(mut buffer: &[u8]) -> Vec<Raw<'_>> {
    let mut all = vec![];
    while let Some((event, rest)) = split(buffer, u32_at(buffer, 0)) {
        let Some(raw) = event_of(event) else { break };
        all.push(raw);
        buffer = rest;
    }
    all
}

fn event_of(event: &[u8]) -> Option<Raw<'_>> {
    let mask = u64::from_ne_bytes(bytes_at(event, 8)?);
    let pid = i32::from_ne_bytes(bytes_at(event, 20)?);
    let version = *event.get(4)?;
    let header = usize::from(u16::from_ne_bytes(bytes_at(event, 6)?));
    if version != libc::FANOTIFY_METADATA_VERSION || header < HEADER {
        return None;
    }
    let written = libc::FAN_MODIFY | libc::FAN_CLOSE_WRITE;
    let act = if mask & !(written | libc::FAN_ONDIR) == 0 { Act::Written } else { Act::Changed };
    let (mut pidfd, mut ended, mut about) = (None, false, None);
    let mut records = event.get(header..)?;
    while let Some((record, rest)) = split(records, u16_at(records, 2)) {
        match record.first().copied() {
            Some(libc::FAN_EVENT_INFO_TYPE_PIDFD) => {
                let number = bytes_at(record, RECORD).map(i32::from_ne_bytes);
                ended = number == Some(libc::FAN_NOPIDFD);
                // Below zero are reasons why there is none.
                pidfd = number.filter(|it| *it >= 0);
            }
            Some(libc::FAN_EVENT_INFO_TYPE_DFID_NAME) => about = named(record),
            // What later kernels add says nothing that is asked here.
            Some(_) | None => {}
        }
        records = rest;
    }
    Some(Raw { pid, pidfd, ended, act, about })
}

/// The record of a name in a directory: file system, size and kind of the handle, the handle, and the name
/// up to its null.
fn named(record: &[u8]) -> Option<(Place, &[u8])> {
    let [low, high] = [bytes_at(record, 4)?, bytes_at(record, 8)?].map(u32::from_ne_bytes);
    let size = usize::try_from(u32_at(record, 12)?).ok()?;
    let kind = i32::from_ne_bytes(bytes_at(record, 16)?);
    let handle = record.get(20..)?.get(..size)?;
    let name = record.get(20..)?.get(size..)?;
    let name = &name[..name.iter().position(|it| *it == 0)?];
    let file_system = u64::from(low) | u64::from(high) << 32;
    Some((Place { file_system, kind, handle: handle.into() }, name))
}

/// The first so many bytes, and the others; nothing where there are fewer, or where it is no length that
/// anything could have.
fn split(bytes: &[u8], length: Option<u32>) -> Option<(&[u8], &[u8])> {
    let length = usize::try_from(length?).ok().filter(|it| *it >= RECORD)?;
    bytes.split_at_checked(length)
}

fn bytes_at<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes_at(bytes, at).map(u32::from_ne_bytes)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes_at(bytes, at).map(u16::from_ne_bytes).map(u32::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn record(kind: u8, body: &[u8]) -> Vec<u8> {
        let length = u16::try_from(RECORD + body.len()).unwrap();
        [&[kind, 0][..], &length.to_ne_bytes(), body].concat()
    }

    fn event(mask: u64, pid: i32, records: &[Vec<u8>]) -> Vec<u8> {
        let records = records.concat();
        let length = u32::try_from(HEADER + records.len()).unwrap();
        let header = u16::try_from(HEADER).unwrap();
        [
            &length.to_ne_bytes()[..],
            &[libc::FANOTIFY_METADATA_VERSION, 0],
            &header.to_ne_bytes(),
            &mask.to_ne_bytes(),
            &(-1i32).to_ne_bytes(),
            &pid.to_ne_bytes(),
            &records,
        ]
        .concat()
    }

    fn name(size: u32, handle: &[u8], name: &[u8]) -> Vec<u8> {
        let (system, kind) = ([1u32.to_ne_bytes(), 2u32.to_ne_bytes()].concat(), 7i32);
        let body = [&system[..], &size.to_ne_bytes(), &kind.to_ne_bytes(), handle, name].concat();
        record(libc::FAN_EVENT_INFO_TYPE_DFID_NAME, &body)
    }

    fn place(handle: &[u8]) -> Place {
        Place { file_system: 1 | 2 << 32, kind: 7, handle: handle.into() }
    }

    /// Two events: of a process that lives, and of one that has ended.
    fn two() -> Vec<u8> {
        let pidfd = |number: i32| record(libc::FAN_EVENT_INFO_TYPE_PIDFD, &number.to_ne_bytes());
        [
            event(libc::FAN_MODIFY, 812, &[name(4, b"hand", b"motd\0\0\0\0"), pidfd(9)]),
            event(libc::FAN_MOVED_TO, 813, &[pidfd(-1), name(4, b"hand", b"passwd\0")]),
        ]
        .concat()
    }

    #[test]
    fn an_event_tells_process_folder_name_and_what_was_done() {
        let buffer = two();
        let seen = |pid, pidfd: Option<i32>, act, name: &'static [u8]| Raw {
            pid,
            pidfd,
            ended: pidfd.is_none(),
            act,
            about: Some((place(b"hand"), name)),
        };
        let expected =
            [seen(812, Some(9), Act::Written, b"motd"), seen(813, None, Act::Changed, b"passwd")];
        assert_eq!(events(&buffer), expected);
        let lost = event(libc::FAN_Q_OVERFLOW, 0, &[]);
        assert_eq!(events(&lost)[0].about, None);
    }

    #[test]
    fn what_a_later_kernel_adds_is_passed_over() {
        let unknown = record(99, b"whatever");
        let buffer = event(libc::FAN_ATTRIB, 1, &[unknown, name(0, b"", b"x\0")]);
        let Raw { about, act, ended, .. } = events(&buffer).remove(0);
        assert_eq!((act, about), (Act::Changed, Some((place(b""), &b"x"[..]))));
        assert!(!ended, "nobody said so");
    }

    #[test]
    fn lengths_that_lie_end_the_reading_and_nothing_else() {
        let good = two();
        for length in [0u32, 1, 3, 23, u32::MAX, u32::try_from(good.len()).unwrap() + 1] {
            let mut bad = good.clone();
            bad[..4].copy_from_slice(&length.to_ne_bytes());
            assert_eq!(events(&bad), [], "{length}");
        }
        // A handle that is larger than its record, a name without an end.
        for bad in [name(u32::MAX, b"hand", b"x\0"), name(4, b"ha", b""), name(4, b"hand", b"x")] {
            let buffer = event(libc::FAN_MODIFY, 1, &[bad]);
            let Raw { about, .. } = events(&buffer).remove(0);
            assert_eq!(about, None);
        }
    }

    #[test]
    fn a_buffer_that_is_cut_gives_what_came_before() {
        let good = two();
        let all = events(&good);
        let first = usize::try_from(u32_at(&good, 0).unwrap()).unwrap();
        for end in 0..good.len() {
            let expected = if end < first { &all[..0] } else { &all[..1] };
            assert_eq!(events(&good[..end]), expected, "{end}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_or_run_for_ever(
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
            at in 0usize..200,
            with in any::<u8>(),
        ) {
            let _whatever = events(&bytes);
            let mut bent = two();
            let at = at % bent.len();
            bent[at] = with;
            prop_assert!(events(&bent).len() <= bent.len() / RECORD);
        }
    }
}
