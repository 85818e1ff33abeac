//! Changing accounts with the shadow tools.

use crate::accounts::{
    Attribute, HomeShape, KeysFile, Limit, NewGroup, NewPrimary, NewUser, Read as _, Write, parse,
};
use crate::command::Command;
use crate::files::Mode;
use crate::files::write::{NewHome, make_home};
use crate::secrets::Secret;
use crate::{AbsPath, ErrorKind, GroupName, Host, SystemError, UserName};
use std::fs;
use std::time::Duration;

impl Host {
    /// Runs one of the shadow tools. Whatever became of it, what was remembered is forgotten.
    fn tool(&self, what: impl FnOnce() -> String, command: &Command) -> Result<(), SystemError> {
        let outcome = command.succeed();
        self.accounts.forget();
        let what = what();
        let outcome = outcome.map(|_| ()).map_err(|error| {
            let mut error = self.with_holder(error);
            // Somebody made it meanwhile, a tool that a killed run had started, say: worth another look.
            if error.chain().iter().any(|it| it.contains("already exists")) {
                error.kind = ErrorKind::Moved;
            }
            error.during(what.as_str())
        });
        tell(&what, &outcome);
        outcome
    }

    /// The tools wait for the locks for 15 seconds and then give up; says who holds one.
    pub(super) fn with_holder(&self, error: SystemError) -> SystemError {
        let said = error.chain().join(" ");
        if !said.contains("lock") || !said.contains("try again later") {
            return error;
        }
        let holder = ["passwd", "shadow", "group", "gshadow"].iter().find_map(|file| {
            let content = fs::read(self.accounts.path(&format!("etc/{file}.lock"))).ok()?;
            let text = String::from_utf8_lossy(&content);
            let pid: u32 = text.trim_matches(|it: char| !it.is_ascii_digit()).parse().ok()?;
            let status = fs::read(self.accounts.path(&format!("proc/{pid}/status"))).ok()?;
            let (process, _) = parse::status(pid, &status)?;
            Some(format!("/etc/{file} is locked by {} (pid {pid})", process.name))
        });
        let words = holder.unwrap_or_else(|| "the account files are locked".to_owned());
        // The chain keeps the tool's own words.
        let mut locked = error.during(words);
        locked.kind = ErrorKind::Locked;
        locked
    }
}

/// What was done to accounts; names, never a password.
fn tell(change: &str, outcome: &Result<(), SystemError>) {
    match outcome {
        Ok(()) => tracing::debug!(change, "accounts changed"),
        Err(error) => {
            tracing::debug!(change, error = error.chain().join(": "), "accounts not changed");
        }
    }
}

/// A tool that changes the account files. Its longest wait is for their lock.
fn account_tool(program: &str) -> Command {
    Command::tool(program).timeout(Duration::from_secs(120))
}

impl Host {
    /// Makes the home that /etc/passwd names. One that is there may stay as it is.
    fn begin_home(
        &self,
        name: &UserName,
        umask: u16,
        may_be_there: bool,
    ) -> Result<(), SystemError> {
        let what = || format!("make the home of user {name}");
        let failed = |why: String| SystemError::new(ErrorKind::Other, why).during(what());
        let local = self.local()?;
        let user = local.user(name).ok_or_else(|| failed("the user is gone".to_owned()))?;
        let home = AbsPath::parse(&user.home).map_err(|err| failed(err.to_string()))?;
        if may_be_there && matches!(self.home(&home)?.shape, HomeShape::Directory { .. }) {
            return Ok(());
        }
        let at = |path: &str| {
            let at = self.accounts.path(path);
            AbsPath::parse(&at.to_string_lossy()).map_err(|err| failed(err.to_string()))
        };
        let new = NewHome {
            path: &at(home.as_str())?,
            skeleton: &at(&local.defaults.skeleton)?,
            uid: user.uid,
            gid: user.gid,
            mode: Mode(0o777 & !umask),
        };
        make_home(self, &new).map_err(|error| error.during(what()))
    }

    /// usermod gives what is the user's in the home to the new number, and goes there by its path.
    fn may_be_re_owned(&self, user: &UserName) -> Result<(), SystemError> {
        let local = self.local()?;
        let home = local.user(user).and_then(|it| AbsPath::parse(&it.home).ok());
        let Some(home) = home else { return Ok(()) };
        let look = self.home(&home)?;
        let there = matches!(look.shape, HomeShape::Directory { .. });
        if there && look.folder.is_open() {
            let why = format!(
                "others than root can write where {home} lies, so what is in it is not re-owned"
            );
            return Err(SystemError::new(ErrorKind::Swappable, why)
                .during(format!("set the ids of user {user}")));
        }
        Ok(())
    }
}

impl Write for Host {
    fn add_group(&self, group: &NewGroup) -> Result<(), SystemError> {
        let NewGroup { name, gid, system } = group;
        let mut command = account_tool("groupadd");
        if *system {
            command = command.arg("-r");
        }
        if let Some(gid) = gid {
            command = command.args(["-g", &gid.to_string()]);
        }
        self.tool(|| format!("add group {name}"), &command.args(["--", name.as_str()]))
    }

    fn set_gid(&self, group: &GroupName, gid: u32) -> Result<(), SystemError> {
        let command = account_tool("groupmod").args(["-g", &gid.to_string(), "--", group.as_str()]);
        self.tool(|| format!("set gid {gid} of group {group}"), &command)
    }

    fn remove_group(&self, group: &GroupName) -> Result<(), SystemError> {
        let command = account_tool("groupdel").args(["--", group.as_str()]);
        self.tool(|| format!("remove group {group}"), &command)
    }

    fn add_member(&self, group: &GroupName, user: &UserName) -> Result<(), SystemError> {
        let command = account_tool("gpasswd").args(["-a", user.as_str(), "--", group.as_str()]);
        self.tool(|| format!("add {user} to group {group}"), &command)
    }

    fn remove_member(&self, group: &GroupName, member: &str) -> Result<(), SystemError> {
        let command = account_tool("gpasswd").args(["-d", member, "--", group.as_str()]);
        let what = || format!("remove {} from group {group}", member.escape_debug());
        self.tool(what, &command)
    }

    fn add_user(&self, user: &NewUser) -> Result<(), SystemError> {
        let NewUser { name, uid, group, home, make_home, shell, comment, system } = user;
        // useradd would make the home by its path, and follow a link that others have put there.
        let mut command = account_tool("useradd").arg("-M");
        if *system {
            command = command.arg("-r");
        }
        if let Some(uid) = uid {
            command = command.args(["-u", &uid.to_string()]);
        }
        command = match group {
            NewPrimary::Group(group) => command.args(["-N", "-g", group.as_str()]),
            NewPrimary::Own => command.arg("-U"),
        };
        command = command.args(["-d", home.as_str()]);
        if let Some(shell) = shell {
            command = command.args(["-s", shell.as_str()]);
        }
        if let Some(comment) = comment {
            command = command.args(["-c", &**comment]);
        }
        let what = || format!("add user {name}");
        self.tool(what, &command.args(["--", name.as_str()]))?;
        if !*make_home {
            return Ok(());
        }
        let umask = self.local()?.defaults.home_umask;
        self.begin_home(name, umask, true).or_else(|error| {
            // An account without its home would be taken for whole by the next look.
            self.remove_user(name)?;
            Err(error.during(what()))
        })
    }

    fn set_attribute(&self, user: &UserName, attribute: &Attribute) -> Result<(), SystemError> {
        match attribute {
            Attribute::Uid(_) | Attribute::Group(_) => self.may_be_re_owned(user)?,
            Attribute::Home(_) | Attribute::Shell(_) | Attribute::Comment(_) => {}
        }
        let command = account_tool("usermod");
        let (what, command) = match attribute {
            // Those two go through the whole home, and must not stop half way.
            Attribute::Uid(uid) => (
                format!("set uid {uid} of user {user}"),
                command
                    .args(["-u", &uid.to_string()])
                    .timeout(Duration::from_secs(600))
                    .never_kill(),
            ),
            Attribute::Group(group) => (
                format!("set primary group {group} of user {user}"),
                command.args(["-g", group.as_str()]).timeout(Duration::from_secs(600)).never_kill(),
            ),
            Attribute::Home(home) => {
                (format!("set home {home} of user {user}"), command.args(["-d", home.as_str()]))
            }
            Attribute::Shell(shell) => {
                (format!("set shell {shell} of user {user}"), command.args(["-s", shell.as_str()]))
            }
            Attribute::Comment(comment) => {
                (format!("set comment of user {user}"), command.args(["-c", &**comment]))
            }
        };
        self.tool(|| what, &command.args(["--", user.as_str()]))
    }

    fn set_limits(
        &self,
        user: &UserName,
        limits: &[(Limit, Option<i64>)],
    ) -> Result<(), SystemError> {
        let mut command = account_tool("chage");
        for (limit, value) in limits {
            let option = match limit {
                Limit::Expires => "-E",
                Limit::Inactive => "-I",
                Limit::MinDays => "-m",
                Limit::MaxDays => "-M",
                Limit::WarnDays => "-W",
            };
            // Days since 1970 are taken where a date is, and hang on no time zone.
            command = command.args([option, &value.unwrap_or(-1).to_string()]);
        }
        let what = || format!("set password limits of user {user}");
        self.tool(what, &command.args(["--", user.as_str()]))
    }

    fn set_password(&self, user: &UserName, field: &Secret) -> Result<(), SystemError> {
        let what = || format!("set password hash of user {user}");
        let field = field.reveal();
        if field.iter().any(|it| it.is_ascii_control() || it.is_ascii_whitespace() || *it == b':') {
            let error = SystemError::new(ErrorKind::Invalid, "it is not a password hash");
            return Err(error.during(what()));
        }
        let mut input = format!("{user}:").into_bytes();
        input.extend_from_slice(field);
        input.push(b'\n');
        self.tool(what, &account_tool("chpasswd").arg("-e").input(input))
    }

    fn lock(&self, user: &UserName) -> Result<(), SystemError> {
        let command = account_tool("usermod").args(["-L", "--", user.as_str()]);
        self.tool(|| format!("lock the password of user {user}"), &command)
    }

    fn unlock(&self, user: &UserName) -> Result<(), SystemError> {
        let command = account_tool("usermod").args(["-U", "--", user.as_str()]);
        self.tool(|| format!("unlock the password of user {user}"), &command)
    }

    fn join_groups(&self, user: &UserName, groups: &[GroupName]) -> Result<(), SystemError> {
        let names: Vec<&str> = groups.iter().map(GroupName::as_str).collect();
        let names = names.join(",");
        let command = account_tool("usermod").args(["-a", "-G", &names, "--", user.as_str()]);
        self.tool(|| format!("add user {user} to {names}"), &command)
    }

    fn make_home(&self, user: &UserName, umask: u16) -> Result<(), SystemError> {
        let made = self.begin_home(user, umask, false);
        tell(&format!("make the home of user {user}"), &made);
        made
    }

    fn remove_home(&self, path: &AbsPath, uid: u32) -> Result<(), SystemError> {
        let what = || format!("remove {path}");
        let at = self.accounts.path(path.as_str());
        let at = AbsPath::parse(&at.to_string_lossy())
            .map_err(|err| SystemError::new(ErrorKind::Other, err.to_string()).during(what()))?;
        crate::files::write::remove_folder_of(self, &at, uid).map_err(|error| error.during(what()))
    }

    fn end_processes(&self, user: &UserName, uid: u32) -> Result<(), SystemError> {
        let ended = self.end_all(user, uid);
        tell(&format!("end the processes of user {user}"), &ended);
        ended
    }

    fn remove_user(&self, user: &UserName) -> Result<(), SystemError> {
        let command = account_tool("userdel").args(["--", user.as_str()]);
        self.tool(|| format!("remove user {user}"), &command)
    }

    fn write_keys(
        &self,
        user: &UserName,
        home: &AbsPath,
        seen: &KeysFile,
        content: &[u8],
    ) -> Result<(), SystemError> {
        let put = self.put_keys(user, home, seen, content);
        tell(&format!("write the keys of user {user}"), &put);
        put
    }
}
