//! Zip archives, by their directory: stored, deflated and Zstandard entries, the modes and links of Unix.

use super::names::shown;
use super::order::{MAX_ENTRIES, Stop};
use super::sink::{File as Entry, Sink};
use rawzip::{CompressionMethod, ReaderAt as _, ZipArchive, ZipArchiveEntryWayfinder};
use std::fs::File;
use std::io::{BufReader, Read, Write};

const TYPE: u32 = 0o170_000;
const DIRECTORY: u32 = 0o040_000;
const REGULAR: u32 = 0o100_000;
const SYMLINK: u32 = 0o120_000;
/// Nobody's link leads further.
const MAX_TARGET: u64 = 4095;

pub(super) fn unpack(archive: File, sink: &mut Sink<'_, impl Write>) -> Result<(), Stop> {
    let mut buffer = vec![0; 128 * 1024];
    let zip = ZipArchive::from_file(archive, &mut buffer).map_err(|err| broken(&err))?;
    let mut disk = [0; 2];
    let at = zip.eocd_offset().saturating_add(4);
    zip.get_ref().read_exact_at(&mut disk, at).map_err(|err| broken(&err))?;
    if !matches!(u16::from_le_bytes(disk), 0 | u16::MAX) {
        return Err(Stop::Refused("it is one part of a zip archive of several".to_owned()));
    }
    let expected = zip.entries_hint();
    let mut count: u64 = 0;
    let mut entries = zip.entries(&mut buffer);
    while let Some(header) = entries.next_entry().map_err(|err| broken(&err))? {
        count += 1;
        if count > expected || count > MAX_ENTRIES {
            return Err(Stop::Refused("its directory has more entries than it says".to_owned()));
        }
        let flags = header.flags();
        let name = name(header.file_path().as_bytes(), flags.is_utf8());
        if flags.is_encrypted() || flags.has_strong_encryption() || flags.is_masked() {
            return Err(Stop::Refused(format!("{} is encrypted", shown(&name))));
        }
        let is_unix = header.mode().value() & TYPE != 0
            && header.version_made_by().creator_system() == rawzip::CreatorSystem::UNIX;
        // What no Unix has made has no modes worth that name.
        let mode = if is_unix { header.mode().value() } else { REGULAR | 0o644 };
        let found = Found {
            name,
            mode,
            time: time(&header.last_modified()),
            size: header.uncompressed_size_hint(),
            method: header.compression_method(),
            place: header.wayfinder(),
        };
        if header.is_dir() || found.mode & TYPE == DIRECTORY {
            sink.directory(&found.name)?;
        } else {
            hand_over(&zip, &found, sink)?;
        }
    }
    match count == expected {
        true => Ok(()),
        false => Err(Stop::Refused("its directory has fewer entries than it says".to_owned())),
    }
}

/// An entry that is no directory.
struct Found {
    name: Vec<u8>,
    mode: u32,
    time: i64,
    size: u64,
    method: CompressionMethod,
    place: ZipArchiveEntryWayfinder,
}

fn hand_over<R: rawzip::ReaderAt>(
    zip: &ZipArchive<R>,
    found: &Found,
    sink: &mut Sink<'_, impl Write>,
) -> Result<(), Stop> {
    let entry = zip.get_entry(found.place).map_err(|err| broken(&err))?;
    let packed = BufReader::with_capacity(128 * 1024, entry.reader());
    let plain: Box<dyn Read + '_> = if found.method == CompressionMethod::STORE {
        Box::new(packed)
    } else if found.method == CompressionMethod::DEFLATE {
        Box::new(flate2::bufread::DeflateDecoder::new(packed))
    } else if found.method == CompressionMethod::ZSTD {
        Box::new(zstd::Decoder::with_buffer(packed).map_err(|err| broken(&err))?)
    } else {
        let words =
            format!("{} is compressed by a method that is not known here", shown(&found.name));
        return Err(Stop::Refused(words));
    };
    let mut content = entry.verifying_reader(plain);
    match found.mode & TYPE {
        0 | REGULAR => {
            let Found { name, mode, time, size, method: _, place: _ } = found;
            sink.file(&Entry { name, mode: *mode, time: *time, size: *size }, content, false)
        }
        SYMLINK => {
            let mut target = vec![];
            content
                .by_ref()
                .take(MAX_TARGET + 1)
                .read_to_end(&mut target)
                .map_err(|err| broken(&err))?;
            sink.symlink(&found.name, &target)
        }
        _ => Err(Stop::Refused(format!("{} is a device or a pipe", shown(&found.name)))),
    }
}

fn broken(err: &impl std::fmt::Display) -> Stop {
    Stop::Refused(format!("it is broken: {err}"))
}

/// A name as UTF-8: so it is written, or in the first alphabet of PCs.
fn name(raw: &[u8], is_utf8: bool) -> Vec<u8> {
    // Many write UTF-8 and do not say so.
    if is_utf8 || std::str::from_utf8(raw).is_ok() {
        return raw.to_owned();
    }
    let letters = raw.iter().map(|it| match it {
        0..=0x7f => char::from(*it),
        0x80.. => CP437.chars().nth(usize::from(*it - 0x80)).unwrap_or('?'),
    });
    letters.collect::<String>().into_bytes()
}

/// The upper half of code page 437.
const CP437: &str = "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u{a0}";

/// Seconds since 1970. A time without a zone is taken for UTC, so that it is one time on all machines.
fn time(written: &rawzip::time::ZipDateTimeKind) -> i64 {
    let (year, month, day) =
        (i64::from(written.year()), i64::from(written.month()), i64::from(written.day()));
    // Days since 1970 in years that begin in March, when the odd day is the last.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days =
        365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 719_469;
    let (hour, minute, second) =
        (i64::from(written.hour()), i64::from(written.minute()), i64::from(written.second()));
    days * 86_400 + hour * 3_600 + minute * 60 + second
}

#[cfg(test)]
mod tests {
    use super::*;
    use rawzip::time::{UtcDateTime, ZipDateTimeKind};

    #[test]
    fn a_date_is_the_second_that_it_says() {
        for seconds in [0, 951_782_400, 951_868_800, 1_709_164_800, 1_764_460_800, 4_102_444_800] {
            assert_eq!(time(&ZipDateTimeKind::Utc(UtcDateTime::from_unix(seconds))), seconds);
        }
    }

    #[test]
    fn a_name_that_is_no_utf8_is_one_of_the_first_pcs() {
        assert_eq!(name("büro".as_bytes(), false), "büro".as_bytes());
        assert_eq!(name(b"b\x81ro", false), "büro".as_bytes());
        assert_eq!(name(b"b\xffro", true), b"b\xffro");
        assert_eq!(CP437.chars().count(), 128);
    }
}
