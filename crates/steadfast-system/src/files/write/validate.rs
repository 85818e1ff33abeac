//! Programs that have a say before a file is put in place.

use crate::command::Command;
use crate::files::Validation;
use crate::{AbsPath, ErrorKind, SystemError};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

/// Runs it on a copy in a directory of root's below the state directory, under the file's own name.
pub(super) fn copy_and_run(
    validation: &Validation,
    path: &AbsPath,
    content: &[u8],
    state: &Path,
    temporary: &str,
) -> Result<(), SystemError> {
    let folder = state.join(temporary);
    let candidate = folder.join(path.file_name());
    let result = copy_for_validator(state, &folder, &candidate, content)
        .map_err(|err| SystemError::io(format!("write a copy of {path} to validate"), err))
        .and_then(|()| run(validation, path, &candidate.to_string_lossy()));
    // What stays is taken away by the next run that validates.
    drop(std::fs::remove_dir_all(&folder));
    result
}

/// Runs it on a candidate. Its words name the file itself.
pub(super) fn run(
    validation: &Validation,
    path: &AbsPath,
    candidate: &str,
) -> Result<(), SystemError> {
    let mut arguments = validation.arguments.iter().map(|it| it.replace("{file}", candidate));
    let Some(program) = arguments.next() else {
        return Err(SystemError::new(
            ErrorKind::Invalid,
            format!("validate {path}: no program is named"),
        ));
    };
    let what = format!("validate {path} with {program}");
    let finished =
        Command::new(&program).args(arguments).run().map_err(|err| err.during(&*what))?;
    if finished.success() {
        return Ok(());
    }
    let how = finished.ending(&program);
    let words = if validation.sensitive {
        String::new()
    } else {
        finished.words().replace(candidate, path.as_str())
    };
    let error = if words.is_empty() {
        SystemError::new(ErrorKind::Invalid, how)
    } else {
        SystemError::new(ErrorKind::Invalid, words).during(how)
    };
    Err(error.during(what))
}

fn copy_for_validator(
    state: &Path,
    folder: &Path,
    candidate: &Path,
    content: &[u8],
) -> std::io::Result<()> {
    match DirBuilder::new().mode(0o700).create(state) {
        Ok(()) => {}
        Err(err) if err.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(err) => return Err(err),
    }
    DirBuilder::new().mode(0o700).create(folder)?;
    let mut file: File =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(candidate)?;
    file.write_all(content)
}
