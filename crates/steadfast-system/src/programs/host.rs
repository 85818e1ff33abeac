//! Running a program on the machine that this program runs on, as the user who is named.

use super::{Program, Run};
use crate::accounts::{self, User};
use crate::command::{Command, Finished};
use crate::{ErrorKind, Host, SystemError, UserName};

impl Run for Host {
    fn run_program(&self, program: &Program<'_>) -> Result<Finished, SystemError> {
        let Some((name, arguments)) = program.command.split_first() else {
            return Err(SystemError::new(ErrorKind::Other, "no program is named"));
        };
        let mut command =
            Command::new(&**name).args(arguments.iter().map(|it| &**it)).timeout(program.timeout);
        if let Some(folder) = program.folder {
            command = command.folder(folder.as_str());
        }
        if let Some(user) = program.user {
            let local = accounts::Read::local(self)?;
            let its = match local.user(user) {
                Some(account) => run_as(account)?,
                None => passing(user)?,
            };
            command = command.run_as(its);
        }
        command.run()
    }
}

/// A user that no file of this machine has: systemd makes some for as long as a service runs (DynamicUser=).
fn passing(name: &UserName) -> Result<steadfast_child::User, SystemError> {
    let found = nix::unistd::User::from_name(name.as_str())
        .map_err(|err| SystemError::io(format!("look up user {name}"), err))?;
    let Some(found) = found else {
        let why = format!("there is no user {name} on this machine");
        return Err(SystemError::new(ErrorKind::Other, why));
    };
    let gid = found.gid.as_raw();
    Ok(steadfast_child::User { uid: found.uid.as_raw(), gid, groups: vec![gid] })
}

/// The ids of an account, with all its groups.
pub(crate) fn run_as(account: &User) -> Result<steadfast_child::User, SystemError> {
    let what = || format!("list the groups of user {}", account.name);
    let name = std::ffi::CString::new(account.name.as_str())
        .map_err(|err| SystemError::io(what(), std::io::Error::from(err)))?;
    let groups = nix::unistd::getgrouplist(&name, nix::unistd::Gid::from_raw(account.gid))
        .map_err(|err| SystemError::io(what(), err))?;
    Ok(steadfast_child::User {
        uid: account.uid,
        gid: account.gid,
        groups: groups.into_iter().map(nix::unistd::Gid::as_raw).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::tests::host_in;
    use crate::require::is_root;
    use std::sync::Arc;
    use std::time::Duration;

    /// What a program says, or why it was not run.
    fn run(words: &[&str], user: Option<&str>) -> Result<Finished, SystemError> {
        let folder = tempfile::tempdir().unwrap();
        let command: Vec<Arc<str>> = words.iter().map(|it| Arc::from(*it)).collect();
        let user = user.map(|it| UserName::parse(it).unwrap());
        let timeout = Duration::from_secs(10);
        host_in(folder.path()).run_program(&Program {
            command: &command,
            user: user.as_ref(),
            folder: None,
            timeout,
        })
    }

    #[test]
    fn what_a_program_says_is_had_whatever_it_exits_with() {
        let finished = run(&["sh", "-c", "echo sick; exit 3"], None).unwrap();
        assert_eq!((finished.code, finished.stdout_text().as_str()), (Some(3), "sick\n"));
        assert_eq!(finished.succeeded("sh").unwrap_err().chain(), ["sh exited with 3", "sick"]);
    }

    #[test]
    fn what_names_no_program_or_no_user_is_not_run() {
        assert_eq!(run(&[], None).unwrap_err().to_string(), "no program is named");
        assert_eq!(
            run(&["true"], Some("nobody-knows")).unwrap_err().to_string(),
            "there is no user nobody-knows on this machine"
        );
    }

    #[test]
    fn a_program_runs_as_the_user_who_is_named_with_that_users_groups() {
        if !is_root() {
            return;
        }
        let finished = run(&["sh", "-c", "id -un; id -Gn"], Some("daemon")).unwrap();
        assert_eq!(finished.stdout_text(), "daemon\ndaemon\n");
    }
}
