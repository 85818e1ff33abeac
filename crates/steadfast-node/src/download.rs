//! Talking to a source: a process of its own, that gives up its privileges before it says a word, and
//! what starts it.

use crate::wire::OURSELVES;
use rustix::process::Signal;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;
use steadfast_download::{DownloadError, DownloadErrorKind, sandbox};
use steadfast_source::download::download_and_tell;
use steadfast_source::openpgp::RunAs;
use steadfast_source::settings::{Limits, Source};
use steadfast_source::terms::{Credentials, Download, Known, from_line};
use steadfast_system::command::{Command, Finished};
use steadfast_trust::text::chain;

/// What the process without privileges is told while it still has them.
#[derive(Debug, Serialize, Deserialize)]
pub struct DownloadTask {
    pub source: Source,
    pub known: Known,
    pub cache: PathBuf,
    /// Where we are root.
    pub as_user: Option<FetchUser>,
    pub limits: Limits,
}

/// Who talks to the network.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct FetchUser {
    uid: u32,
    gid: u32,
}

impl FetchUser {
    /// A user of that purpose, else nobody. None where we are not root: then there is nothing to give up.
    pub fn find() -> Option<FetchUser> {
        if !rustix::process::geteuid().is_root() {
            return None;
        }
        let found = ["steadfast-fetch", "nobody"]
            .iter()
            .find_map(|it| nix::unistd::User::from_name(it).ok().flatten());
        Some(found.map_or(NOBODY, |it| FetchUser { uid: it.uid.as_raw(), gid: it.gid.as_raw() }))
    }

    pub fn run_as(self) -> RunAs {
        RunAs { uid: self.uid, gid: self.gid }
    }
}

const NOBODY: FetchUser = FetchUser { uid: 65534, gid: 65534 };

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
    let FetchUser { uid, gid } = as_user.unwrap_or(NOBODY);
    sandbox::confine(cache, uid, gid, &limits.transfer())
        .map_err(|err| DownloadError::new(DownloadErrorKind::Local, chain(&err)))?;
    // Nobody but who started it waits for it. Only now: becoming another user forgets it.
    let _asked = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
    Ok(credentials)
}

/// Starts that process, and hears what it says. However it ended after that: what it brought is verified
/// as if it were a lie.
pub fn download_in_child(task: &DownloadTask) -> Result<Download, DownloadError> {
    // Plain data, whose serialization cannot fail.
    let input = serde_json::to_vec(task).unwrap_or_default();
    let finished = Command::new(OURSELVES)
        .args(["internal", "download"])
        .input(input)
        .timeout(task.limits.together() + Duration::from_secs(30))
        .run_to_its_time()
        .map_err(|err| DownloadError::new(DownloadErrorKind::Local, err.chain().join(": ")))?;
    answer(&finished)
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
