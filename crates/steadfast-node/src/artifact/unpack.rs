//! From an archive to a tree: a process that can do nothing but read the one takes it apart, and this one writes the
//! other.

use super::Making;
use super::terms::{NoTree, as_system, worker_user};
use crate::download::Duty;
use std::fs::File as Archive;
use steadfast_child::who_runs_as;
use steadfast_download::DownloadErrorKind;
use steadfast_download::archive::{Order, error_in};
use steadfast_download::records::{Kind, Record};
use steadfast_download::worker::{Input, Worker};
use steadfast_system::trees::{File, TreeError, Writer, Written};
use steadfast_system::{ErrorKind, SystemError};

/// What a single file is called where the model does not say.
const USUAL_NAME: &str = "artifact";
const USUAL_MODE: u32 = 0o444;

impl Making<'_> {
    pub(super) fn unpack(&self, archive: Archive, max: u64) -> Result<Written, NoTree> {
        let order = self.order_for_child(max)?;
        // Plain data, whose serialization cannot fail.
        let order = serde_json::to_string(&order).unwrap_or_default();
        nobody_else()?;
        let mut writer = self.begin(max)?;
        let arguments = ["internal", "unpack", &order];
        let user = worker_user(Duty::Unpack)?;
        let mut worker = Worker::start(self.means.program, &arguments, user, Input::File(archive))
            .map_err(as_system)?;
        loop {
            let record = match worker.records.next_record() {
                Ok(record) => record,
                Err(error) => return Err(as_system(worker.ended(&error))),
            };
            if record.kind == Kind::End {
                break;
            }
            write(&record, &mut writer)?;
        }
        Ok(writer.finish(self.key.digest())?)
    }

    fn order_for_child(&self, max: u64) -> Result<Order, NoTree> {
        let artifact = self.order.artifact;
        let mode = match &artifact.mode {
            None => USUAL_MODE,
            Some(text) => u32::from_str_radix(&text.value, 8)
                .map_err(|_| NoTree::Refused(format!("`{}` is no mode", text.value)))?,
        };
        let name = artifact.name.as_ref().map_or(USUAL_NAME, |it| &*it.value);
        Ok(Order {
            strip: self.order.unpack.strip as usize,
            max,
            setuid: self.order.unpack.setuid,
            name: name.to_owned(),
            mode,
            is_single: artifact.name.is_some() || artifact.mode.is_some(),
        })
    }
}

/// Nobody runs as the user who takes archives apart: another program of that user could speak in its place.
fn nobody_else() -> Result<(), NoTree> {
    let no_user = |err| SystemError::caused(ErrorKind::NotHere, "choose who unpacks", err);
    let Some(user) = Duty::Unpack.user().map_err(no_user)? else { return Ok(()) };
    match who_runs_as(user.uid) {
        None => Ok(()),
        Some(process) => {
            let words = format!(
                "the process {process} runs as steadfast-unpack, who should run nothing else"
            );
            Err(SystemError::new(ErrorKind::Invalid, words).into())
        }
    }
}

fn write(record: &Record<'_>, writer: &mut Writer<'_>) -> Result<(), NoTree> {
    let Record { kind, mode, time, size, name, content } = *record;
    let written = match kind {
        Kind::Directory => writer.directory(name),
        Kind::File => writer.file(name, File { mode, time, size }),
        Kind::Data => writer.data(content),
        Kind::Hole => writer.hole(size),
        Kind::Symlink => writer.symlink(name, content),
        Kind::Hardlink => writer.hardlink(name, content),
        Kind::Capabilities => writer.capabilities(content),
        Kind::Failed => {
            let error = error_in(record);
            return Err(match error.kind {
                DownloadErrorKind::Refused | DownloadErrorKind::TooLarge => {
                    NoTree::Refused(error.words)
                }
                DownloadErrorKind::Unreachable
                | DownloadErrorKind::Broken
                | DownloadErrorKind::TimedOut
                | DownloadErrorKind::Settings
                | DownloadErrorKind::Local
                | DownloadErrorKind::NotInstalled => {
                    SystemError::new(ErrorKind::Command, error.words).into()
                }
            });
        }
        Kind::Offset | Kind::Document | Kind::End => {
            return Err(NoTree::Refused(
                "what took it apart says something else than files".into(),
            ));
        }
    };
    written.map_err(|error| match error {
        TreeError::Refused(_) | TreeError::NoSpace | TreeError::Failed(_) => error.into(),
    })
}
