//! Services stay down during an installation: a policy-rc.d of ours, as long as it is needed.

use crate::SystemError;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;

pub(super) const POLICY_RC: &str = "/usr/sbin/policy-rc.d";

pub(super) const POLICY_RC_KEPT: &str = "/usr/sbin/policy-rc.d.kept-by-steadfast";

/// dpkg names the package whose script asks. What goes is stopped all the same; at an upgrade nothing is, as
/// nothing is started afterwards.
pub(super) const POLICY_RC_OURS: &str = r#"#!/bin/sh
# Made by steadfast for one installation, and removed after it: services stay down.
case " $* " in
*" stop "* | *" force-stop "*)
  want=$(dpkg-query -W -f '${db:Status-Want}' "$DPKG_MAINTSCRIPT_PACKAGE" 2>/dev/null)
  case $want in deinstall | purge) exit 0 ;; esac
  ;;
esac
exit 101
"#;

/// What version 0.1.0 made.
const POLICY_RC_OF_OLD: &str = "#!/bin/sh\n# Made by steadfast for one installation, and removed after it: services stay down.\nexit 101\n";

/// Our policy-rc.d, as long as this lives. An existing one stands aside meanwhile.
#[derive(Debug)]
pub(super) struct KeptDown;

impl KeptDown {
    pub(super) fn new() -> Result<KeptDown, SystemError> {
        let failed = |err: std::io::Error| SystemError::io(format!("write {POLICY_RC}"), err);
        let new = format!("{POLICY_RC}.new-by-steadfast");
        let _left_over = fs::remove_file(&new);
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o755)
            .open(&new)
            .map_err(failed)?;
        file.write_all(POLICY_RC_OURS.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
        rustix::fs::fchmod(&file, rustix::fs::Mode::from_raw_mode(0o755))
            .map_err(|err| SystemError::io(format!("write {POLICY_RC}"), err))?;
        if fs::symlink_metadata(POLICY_RC).is_ok() && !is_ours() {
            fs::rename(POLICY_RC, POLICY_RC_KEPT).map_err(failed)?;
        }
        fs::rename(&new, POLICY_RC).map_err(failed)?;
        Ok(KeptDown)
    }
}

impl Drop for KeptDown {
    fn drop(&mut self) {
        // What fails here is found and mended when the next run begins.
        let _mended_later = restore_policy_rc();
    }
}

pub(super) fn is_ours() -> bool {
    fs::symlink_metadata(POLICY_RC).is_ok_and(|it| it.is_file())
        && fs::read(POLICY_RC).is_ok_and(|it| {
            [POLICY_RC_OURS, POLICY_RC_OF_OLD].iter().any(|ours| it == ours.as_bytes())
        })
}

pub(super) fn restore_policy_rc() -> std::io::Result<()> {
    if is_ours() {
        fs::remove_file(POLICY_RC)?;
    }
    if fs::symlink_metadata(POLICY_RC_KEPT).is_ok() && fs::symlink_metadata(POLICY_RC).is_err() {
        fs::rename(POLICY_RC_KEPT, POLICY_RC)?;
    }
    Ok(())
}
