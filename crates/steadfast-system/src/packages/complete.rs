//! Completing what was cut, with the options of the transaction that was.

use super::Options;
use super::apt;
use super::job::{OURS, apt_options};
use super::marker::Marker;
use super::policy_rc::KeptDown;
use super::run::{force, interrupted};
use crate::command::Command;
use crate::{Host, SystemError};

impl Host {
    /// Completes what was cut; see [`Write::complete_packages`].
    ///
    /// [`Write::complete_packages`]: super::Write::complete_packages
    pub(super) fn complete_what_was_cut(&self) -> Result<(), SystemError> {
        self.wait_for_locks()?;
        let known = self.known()?;
        if known.is_at_rest() {
            self.end();
            return Ok(());
        }
        let unrest = self.unrest(&known);
        if (known.updates && !unrest.journal_is_ours) || (!known.updates && unrest.ours.is_empty())
        {
            return Err(interrupted());
        }
        let marker = self.read_marker().unwrap_or_default();
        let guard = if marker.start { None } else { Some(KeptDown::new()?) };
        let mut arguments = vec!["dpkg".to_owned()];
        arguments.extend(force(marker.conffiles).iter().map(|it| (*it).to_owned()));
        arguments.push("--configure".to_owned());
        if known.updates || unrest.ours.len() == known.database.cut().len() {
            arguments.push("--pending".to_owned());
        } else {
            // What somebody else left is none of ours.
            arguments.extend(unrest.ours);
        }
        let mut ran = self.run_to_its_end(&arguments, marker.conffiles);
        if ran.is_ok() {
            ran = self.unpack_again(&marker).unwrap_or(ran);
        }
        drop(guard);
        let (success, text) = ran?;
        self.end();
        if success {
            return Ok(());
        }
        Err(apt::failure(&text)
            .during("complete the interrupted installation (`dpkg --configure -a`)"))
    }

    /// What was torn while it was unpacked cannot be configured: it is unpacked again. None where
    /// nothing of ours is torn.
    fn unpack_again(&self, marker: &Marker) -> Option<Result<(bool, String), SystemError>> {
        let known = self.known().ok()?;
        let repair = self.package_rules().repair;
        let mut torn = known.database.torn();
        torn.retain(|it| repair || marker.owns(it));
        if torn.is_empty() {
            return None;
        }
        let options =
            Options { conffiles: marker.conffiles, start: marker.start, ..Options::default() };
        let mut arguments = vec![OURS[0].to_owned()];
        arguments.extend(apt_options(&options, self.package_rules().wait_for_lock.as_secs()));
        arguments.extend(["--no-remove", "--reinstall", "install"].map(str::to_owned));
        arguments.extend(torn.iter().cloned());
        let ran = self.run_to_its_end(&arguments, marker.conffiles);
        // apt takes what it is told by name for wanted; what came as a dependency stays one.
        let automatic: Vec<&String> = torn.iter().filter(|it| known.is_automatic(it)).collect();
        if !automatic.is_empty() {
            let _only_kept_longer =
                Command::tool("apt-mark").arg("auto").args(automatic).succeed().is_ok();
        }
        Some(ran)
    }
}
