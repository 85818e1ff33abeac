//! What separates a job's file from the promise.

use super::change::{Change, Was};
use super::desired::{Desired, FOLDER, Job, MODE};
use super::state::{State, bytes_of, digest_of, noun};
use crate::identity::Identity;
use crate::kind::{Difference, Obstacle, Refusal};
use crate::paths::{Touch, refuse_touching, seen, sha256};
use std::sync::Arc;
use steadfast_system::AbsPath;
use steadfast_system::files::{Attributes, Entry, Expected, NewFile, Shape};

pub(super) fn plan(want: &Desired, have: &State) -> Difference<Change> {
    let difference = match &want.job {
        Some(job) => plan_present(&want.path, job, have),
        None => plan_absent(&want.path, have),
    };
    let touch = |change: &Change| {
        Some(match change {
            Change::Write { file, was: _ } => Touch::of(file.in_place),
            Change::SetAttributes { .. } => Touch::Itself,
            Change::Remove { .. } => Touch::Name,
        })
    };
    let (folder, entry) = (have.look.folder.as_ref(), have.look.entry.as_ref());
    refuse_touching(difference, Some(&want.path), folder, entry, touch)
}

fn plan_present(path: &AbsPath, job: &Job, have: &State) -> Difference<Change> {
    let mut difference = Difference::none();
    if have.look.folder.is_none() {
        difference.obstacles.extend(path.parent().map(|it| Obstacle::Missing(Identity::Path(it))));
        difference.notes.push(format!("there is no {FOLDER}: is cron installed?"));
    }
    if !have.user_exists {
        difference.obstacles.push(Obstacle::Missing(Identity::User(job.user.clone())));
    }
    let write = |replaces, was, in_place| Change::Write {
        file: NewFile {
            path: path.clone(),
            content: Arc::from(job.text.as_bytes()),
            uid: 0,
            gid: 0,
            mode: MODE,
            replaces,
            validate: None,
            keep: true,
            in_place,
        },
        was,
    };
    let Some(entry) = &have.look.entry else {
        difference.changes.push(write(Expected::Nothing, Was::Nothing, false));
        return difference;
    };
    match &entry.shape {
        Shape::File { size, content } => {
            if digest_of(content) != Some(sha256(job.text.as_bytes())) {
                let was = Was::File { size: *size, bytes: bytes_of(content) };
                difference.changes.push(write(seen(entry), was, entry.mounted));
            } else if entry.links > 1 && !entry.mounted {
                difference.changes.push(write(seen(entry), Was::HardLinks(entry.links), false));
            } else {
                difference.changes.extend(attributes(path, entry));
            }
        }
        Shape::Link { target } => {
            difference.changes.push(write(seen(entry), Was::Link(Arc::clone(target)), false));
        }
        Shape::Directory | Shape::Socket | Shape::Fifo | Shape::Device => {
            difference.obstacles.push(in_the_way(path, &entry.shape));
        }
    }
    difference
}

fn attributes(path: &AbsPath, entry: &Entry) -> Option<Change> {
    let (mut was, mut to) = (Attributes::default(), Attributes::default());
    if entry.uid != 0 {
        (was.uid, to.uid) = (Some(entry.uid), Some(0));
    }
    if entry.gid != 0 {
        (was.gid, to.gid) = (Some(entry.gid), Some(0));
    }
    if entry.mode != MODE {
        (was.mode, to.mode) = (Some(entry.mode), Some(MODE));
    }
    (to != Attributes::default()).then(|| Change::SetAttributes {
        path: path.clone(),
        seen: seen(entry),
        was,
        attributes: to,
    })
}

fn plan_absent(path: &AbsPath, have: &State) -> Difference<Change> {
    let Some(entry) = &have.look.entry else { return Difference::none() };
    if entry.mounted {
        return Difference::refused(Refusal::machine(format!("something is mounted at {path}")));
    }
    let was = match &entry.shape {
        Shape::File { size, content } => Was::File { size: *size, bytes: bytes_of(content) },
        Shape::Link { target } => Was::Link(Arc::clone(target)),
        Shape::Directory | Shape::Socket | Shape::Fifo | Shape::Device => {
            return Difference {
                obstacles: vec![in_the_way(path, &entry.shape)],
                ..Difference::none()
            };
        }
    };
    Difference::new(vec![Change::Remove { path: path.clone(), seen: seen(entry), was }])
}

fn in_the_way(path: &AbsPath, shape: &Shape) -> Obstacle {
    Obstacle::refused(Refusal::machine(format!(
        "{path} is a {}, not a cron job's file",
        noun(shape)
    )))
}
