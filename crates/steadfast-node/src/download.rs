//! Talking to a source: a process of its own, that gives up its privileges before it says a word, and
//! what starts it.

use crate::wire::{LOG, OURSELVES};
use rustix::process::Signal;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::time::Duration;
use steadfast_child::leaving_nothing_behind;
use steadfast_download::{DownloadError, DownloadErrorKind, sandbox};
use steadfast_source::download::download_and_tell;
use steadfast_source::openpgp::RunAs;
use steadfast_source::settings::{Limits, Source, Trust};
use steadfast_source::terms::{Credentials, Download, Known, from_line};
use steadfast_system::command::{Command, Finished};
use steadfast_system::text;
use steadfast_trust::text::chain;

/// What the process without privileges is told while it still has them.
#[derive(Debug, Serialize, Deserialize)]
pub struct DownloadTask {
    pub source: Source,
    pub known: Known,
    pub cache: PathBuf,
    /// Where we are root.
    pub as_user: Option<OwnUser>,
    pub limits: Limits,
}

/// A user of this machine who does one thing for us, and as whom nothing else runs. There is no other user in
/// its place: as `nobody` run the programs of others, and each could hold ours and speak for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Duty {
    /// It talks to the network.
    Fetch,
    /// It runs the program that verifies OpenPGP signatures.
    Verify,
    /// It takes archives apart.
    Unpack,
}

/// The ids of such a user.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct OwnUser {
    pub uid: u32,
    pub gid: u32,
}

/// Why something cannot be done as who is meant to do it.
#[derive(Debug, thiserror::Error)]
pub enum NoUser {
    #[error(
        "there is no user {name} on this machine; the package makes it, and so does: \
         useradd --system --user-group --shell /usr/sbin/nologin {name}"
    )]
    Missing { name: &'static str },
    #[error("the user {name} has the numbers of root")]
    Root { name: &'static str },
}

impl Duty {
    fn name(self) -> &'static str {
        match self {
            Duty::Fetch => "steadfast-fetch",
            Duty::Verify => "steadfast-verify",
            Duty::Unpack => "steadfast-unpack",
        }
    }

    /// Who does it. None where we are not root: then there is nothing to give up.
    pub fn user(self) -> Result<Option<OwnUser>, NoUser> {
        if !rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        let name = self.name();
        let found = nix::unistd::User::from_name(name).ok().flatten();
        let found = found.ok_or(NoUser::Missing { name })?;
        let (uid, gid) = (found.uid.as_raw(), found.gid.as_raw());
        if uid == 0 || gid == 0 {
            return Err(NoUser::Root { name });
        }
        Ok(Some(OwnUser { uid, gid }))
    }
}

/// As whom a program verifies signatures, where the trusted keys need one, and in a directory beside the
/// cache. None where we are not root, or no program is started.
pub fn verifier(trust: &Trust, cache: &Path) -> Result<Option<RunAs>, NoUser> {
    match trust {
        Trust::OpenPgp(_) => {
            let room = cache.with_file_name("verify");
            Ok(Duty::Verify.user()?.map(|OwnUser { uid, gid }| RunAs { uid, gid, room }))
        }
        Trust::AllowedSigners(_) | Trust::Keys { .. } | Trust::None => Ok(None),
    }
}

/// In the process of its own. It tells what came of it before it does what it may be killed in.
pub fn download_as_child(task: &DownloadTask, tell: impl FnOnce(&Result<Download, DownloadError>)) {
    match confined(task) {
        Ok(credentials) => {
            let DownloadTask { source, known, cache, as_user: _, limits } = task;
            download_and_tell(source, &credentials, known, cache, limits, |it| tell(&it));
        }
        Err(error) => tell(&Err(error)),
    }
}

/// Reads what only root may, and gives up being root.
fn confined(task: &DownloadTask) -> Result<Credentials, DownloadError> {
    let DownloadTask { source, known: _, cache, as_user, limits } = task;
    let credentials = Credentials::read(source)
        .map_err(|err| DownloadError::new(DownloadErrorKind::Settings, chain(&err)))?;
    let user = as_user.map(|OwnUser { uid, gid }| (uid, gid));
    sandbox::confine(cache, user, &limits.transfer())
        .map_err(|err| DownloadError::new(DownloadErrorKind::Local, chain(&err)))?;
    // Nobody but who started it waits for it. Only now: becoming another user forgets it.
    let _asked = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
    Ok(credentials)
}

/// Starts that process, and hears what it says. However it ended after that: what it brought is verified
/// as if it were a lie, and whatever it has started has ended before.
pub fn download_in_child(task: &DownloadTask) -> Result<Download, DownloadError> {
    // Plain data, whose serialization cannot fail.
    let input = serde_json::to_vec(task).unwrap_or_default();
    let local = |words: String| DownloadError::new(DownloadErrorKind::Local, words);
    let mut child = Command::new(OURSELVES)
        .args(["internal", "download"])
        .input(input)
        .timeout(task.limits.together() + Duration::from_secs(30))
        .expendable(1000);
    if let Some(level) = told_level() {
        child = child.env(LOG, level);
    }
    let finished = leaving_nothing_behind(|| child.run_to_its_time())
        .map_err(|err| DownloadError::local("end what a download leaves behind", err))?;
    let finished = finished.map_err(|err| local(err.chain().join(": ")))?;
    retell(&finished.stderr_text());
    answer(&finished)
}

/// How much that process is to tell of its work: as much as is listened to here.
fn told_level() -> Option<&'static str> {
    if tracing::enabled!(target: DOWNLOAD, tracing::Level::TRACE) {
        Some("trace")
    } else if tracing::enabled!(target: DOWNLOAD, tracing::Level::DEBUG) {
        Some("debug")
    } else {
        None
    }
}

/// The crate of which most is told there.
const DOWNLOAD: &str = "steadfast_download";
/// More than any download has to tell.
const MOST_LINES: usize = 10_000;

/// Passes on what it has told. It spoke with strangers, so these are their words as well: whatever a line
/// says of its own weight, it is one for whoever looks for the cause of something.
fn retell(lines: &str) {
    for line in lines.lines().take(MOST_LINES) {
        let words = match line.split_once('>') {
            Some((head, words)) if head.starts_with('<') && head.len() == 2 => words,
            Some(_) | None => line,
        };
        tracing::debug!(target: DOWNLOAD, "download: {}", text::safe(words));
    }
}

fn answer(finished: &Finished) -> Result<Download, DownloadError> {
    let text = finished.stdout_text();
    if let Some(line) = text.lines().next_back() {
        return from_line(line);
    }
    let said = finished.words();
    let how = match finished.signal {
        Some(signal) => format!("signal {signal} ended it; {said}"),
        None => said,
    };
    let words = format!("the download process ended without a result: {how}");
    Err(DownloadError::new(DownloadErrorKind::Local, words.trim_end_matches([';', ':', ' '])))
}

#[cfg(test)]
mod tests {
    use super::*;
    use steadfast_source::terms::to_line;

    fn heard(script: &str, seconds: u64) -> Result<Download, DownloadError> {
        let command = Command::new("sh").args(["-c", script]);
        answer(&command.timeout(Duration::from_secs(seconds)).run_to_its_time().unwrap())
    }

    #[test]
    fn what_the_fetcher_has_said_counts_however_it_ends() {
        let offer = Ok(Download::Offer { validator: None });
        let say = format!("echo '{}'", to_line(&offer));
        assert_eq!(heard(&say, 60), offer);
        assert_eq!(heard(&format!("{say}; kill -ABRT $$"), 60), offer);
        assert_eq!(heard(&format!("{say}; exit 101"), 60), offer);
        // It says it at once, and then goes on for longer than it may.
        assert_eq!(heard(&format!("{say}; exec sleep 1000"), 2), offer);
        let words = heard("kill -KILL $$", 60).unwrap_err().words;
        assert_eq!(words, "the download process ended without a result: signal 9 ended it");
    }
}
