//! Units that stand still for a while, written down until the next boot: a boot starts what it is to start.

use crate::{SystemError, UnitName};
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

const FOLDER: &str = "/run/steadfast/still";

fn path(for_whom: &str) -> PathBuf {
    Path::new(FOLDER).join(for_whom.replace('/', "+"))
}

pub(super) fn add(for_whom: &str, units: &[&UnitName]) -> Result<(), SystemError> {
    let failed = |err| SystemError::io("write down which units stand still", err);
    let mut all = read(for_whom)?;
    all.extend(units.iter().map(|it| (*it).clone()));
    let mut text = String::new();
    for (at, unit) in all.iter().enumerate() {
        if !all[..at].contains(unit) {
            text.push_str(unit.as_str());
            text.push('\n');
        }
    }
    fs::DirBuilder::new().recursive(true).mode(0o755).create(FOLDER).map_err(failed)?;
    let new = path(&format!(".{for_whom}"));
    fs::write(&new, text).and_then(|()| fs::rename(&new, path(for_whom))).map_err(failed)
}

pub(super) fn read(for_whom: &str) -> Result<Vec<UnitName>, SystemError> {
    match fs::read_to_string(path(for_whom)) {
        Ok(text) => Ok(text.lines().filter_map(|it| UnitName::parse(it).ok()).collect()),
        Err(err) if err.kind() == ErrorKind::NotFound => Ok(vec![]),
        Err(err) => Err(SystemError::io("read which units stand still", err)),
    }
}

pub(super) fn forget(for_whom: &str) -> Result<(), SystemError> {
    match fs::remove_file(path(for_whom)) {
        Err(err) if err.kind() != ErrorKind::NotFound => {
            Err(SystemError::io("forget which units stood still", err))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}
