//! Facts of the administrator's own, from files.

use super::foreseen::Foreseen;
use super::text::{MOST, Notes};
use rustix::fs::{Mode, OFlags};
use serde_json::{Map, Value};
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// Reads the text of a static fact file; the flag says that it is JSON, not YAML.
pub type Parse<'a> = &'a dyn Fn(&[u8], bool) -> Result<Value, String>;

/// Adds the top-level keys of each file in the directory. Directory and files must be `owner`'s, and nobody
/// else may be able to write them: facts decide what the agent does as root.
pub(super) fn static_facts(
    folder: &Path,
    owner: u32,
    parse: Parse<'_>,
    foreseen: &Foreseen,
    facts: &mut Map<String, Value>,
    notes: &mut Notes,
) {
    let mut files = match fact_files(folder, owner) {
        Ok(files) => files,
        Err(why) => return notes.0.push(format!("{}: {why}; ignored", folder.display())),
    };
    let new = foreseen.files.keys().filter(|it| it.parent() == Some(folder) && is_fact_file(it));
    files.extend(new.cloned());
    files.sort();
    files.dedup();
    let stays = |it: &PathBuf| !matches!(foreseen.files.get(it), Some(None));
    for path in files.into_iter().filter(stays) {
        let shown = path.display().to_string().escape_debug().to_string();
        let is_json = path.extension().is_some_and(|it| it == "json");
        let bytes = match foreseen.files.get(&path) {
            Some(Some(bytes)) => Ok(bytes.to_vec()),
            Some(None) | None => read_owned(&path, owner),
        };
        let value = match bytes.and_then(|bytes| parse(&bytes, is_json)) {
            Ok(value) => value,
            Err(why) => {
                notes.0.push(format!("{shown}: {why}; ignored"));
                continue;
            }
        };
        let Value::Object(entries) = value else {
            notes.0.push(format!("{shown}: it is not a map of names to facts; ignored"));
            continue;
        };
        for (key, value) in entries {
            if facts.contains_key(&key) {
                let key = key.escape_debug();
                notes.0.push(format!("{shown}: there is already a fact `{key}`; ignored"));
            } else {
                facts.insert(key, value);
            }
        }
    }
}

/// The files of the directory in the order of their names; none where there is no such directory.
pub(super) fn fact_files(folder: &Path, owner: u32) -> Result<Vec<PathBuf>, String> {
    let said = |err: std::io::Error| err.to_string();
    let opened = rustix::fs::open(
        folder,
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
    );
    let opened = match opened {
        Ok(opened) => opened,
        Err(rustix::io::Errno::NOENT) => return Ok(vec![]),
        Err(err) => return Err(said(err.into())),
    };
    check_owner(&rustix::fs::fstat(&opened).map_err(|err| said(err.into()))?, owner)?;
    let mut files = vec![];
    for entry in std::fs::read_dir(folder).map_err(said)? {
        let path = entry.map_err(said)?.path();
        if is_fact_file(&path) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn is_fact_file(path: &Path) -> bool {
    let is_hidden = path.file_name().is_some_and(|it| it.as_encoded_bytes().starts_with(b"."));
    let is_fact = path.extension().is_some_and(|it| it == "yaml" || it == "yml" || it == "json");
    is_fact && !is_hidden
}

fn read_owned(path: &Path, owner: u32) -> Result<Vec<u8>, String> {
    let said = |err: std::io::Error| err.to_string();
    // Without waiting for whoever writes a fifo.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(file) => std::fs::File::from(file),
        Err(rustix::io::Errno::LOOP) => return Err("it is a link".to_owned()),
        Err(err) => return Err(said(err.into())),
    };
    let stat = rustix::fs::fstat(&file).map_err(|err| said(err.into()))?;
    if !rustix::fs::FileType::from_raw_mode(stat.st_mode).is_file() {
        return Err("it is not a regular file".to_owned());
    }
    check_owner(&stat, owner)?;
    let mut bytes = vec![];
    file.take(MOST + 1).read_to_end(&mut bytes).map_err(said)?;
    if bytes.len() as u64 > MOST {
        return Err(format!("it is larger than {MOST} bytes"));
    }
    Ok(bytes)
}

fn check_owner(stat: &rustix::fs::Stat, owner: u32) -> Result<(), String> {
    if stat.st_uid != owner {
        return Err(format!("it belongs to uid {}, not to {owner}", stat.st_uid));
    }
    if stat.st_mode & 0o022 != 0 {
        return Err("others can write it".to_owned());
    }
    Ok(())
}
