//! Running a command in the foreground with what a service runs with: its user, its environment, its credentials. It
//! is a unit of systemd's while it runs, so it stays apart from whoever has started it, and ends as a whole.

use crate::command::{Command, PATH};
use crate::{ErrorKind, SystemError};
use nix::sys::signal::{SigSet, Signal};
use serde::Deserialize;
use serde_json::Value;
use std::path::Path;
use std::process::Stdio;
use steadfast_child::Apart;

const SYSTEMD: &str = "org.freedesktop.systemd1";
const SERVICE: &str = "org.freedesktop.systemd1.Service";
const UNIT: &str = "org.freedesktop.systemd1.Unit";

/// Properties of a service that are asked for together: all versions of systemd have them.
const SETTINGS: [&str; 9] = [
    "User",
    "Group",
    "SupplementaryGroups",
    "UMask",
    "DynamicUser",
    "Environment",
    "EnvironmentFiles",
    "UnsetEnvironment",
    "LoadCredential",
];

/// How the command is started: env(1) finds the program by the PATH that it has there, and says what is wrong with it in
/// its exit code; the shell outlives the signals that systemd takes for a good end, and tells of them. The dollar signs
/// are doubled, as systemd would put variables in.
const START: &str = "trap : HUP INT TERM; /usr/bin/env -- \"$$@\"; exit $$?";

/// What somebody asks for.
#[derive(Clone, Debug)]
pub struct Task<'a> {
    /// The service whose settings it has.
    pub service: &'a str,
    /// How its own unit is called while it runs.
    pub unit: &'a str,
    pub description: &'a str,
    pub folder: &'a Path,
    pub command: &'a [String],
}

/// What a service runs with, as systemd has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Settings {
    user: String,
    group: String,
    groups: Vec<String>,
    umask: u32,
    is_dynamic: bool,
    environment: Vec<String>,
    /// Each with whether it may be missing.
    files: Vec<(String, bool)>,
    unset: Vec<String>,
    /// Names with paths.
    credentials: Vec<(String, String)>,
    encrypted: Vec<(String, String)>,
}

/// Runs it with our standard input and outputs. Its exit code: 128 and the number of the signal where one has ended it,
/// 126 and 127 where it cannot be started, as of env(1).
pub fn run(task: &Task<'_>) -> Result<i32, SystemError> {
    let settings = settings(task.service)?;
    // Before any thread is started: each has them blocked from its beginning.
    let signals = SigSet::from_iter([Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP]);
    signals
        .thread_block()
        .map_err(|err| SystemError::io("hold back signals", std::io::Error::from(err)))?;
    let mut command = std::process::Command::new("systemd-run");
    command
        .args(arguments(task, &settings))
        .env_clear()
        .env("PATH", PATH)
        .stdin(Stdio::inherit())
        .stdout(Stdio::inherit())
        .stderr(Stdio::inherit());
    Apart::new().set_on(&mut command);
    let mut child = command.spawn().map_err(|err| SystemError::io("start systemd-run", err))?;
    let unit = task.unit.to_owned();
    // It ends with this process.
    std::thread::spawn(move || {
        while let Ok(signal) = signals.wait() {
            let flag = format!("--signal={}", signal.as_str());
            let _asked = Command::tool("systemctl").args(["kill", &flag, "--", &unit]).run();
        }
    });
    let status = child.wait().map_err(|err| SystemError::io("wait for systemd-run", err))?;
    let code = status.code().unwrap_or(125);
    Ok(ended_by(task.unit).unwrap_or(code))
}

/// What ended it, where that was a signal: systemd-run says only that one did. What has failed is known until it is
/// forgotten.
fn ended_by(unit: &str) -> Option<i32> {
    let properties = "--property=ExecMainCode,ExecMainStatus";
    let shown = Command::tool("systemctl").args(["show", properties, "--", unit]).succeed().ok()?;
    let _forgotten = Command::tool("systemctl").args(["reset-failed", "--", unit]).run();
    signal_of(&shown.stdout_text())
}

fn signal_of(shown: &str) -> Option<i32> {
    let value = |name: &str| -> Option<i32> {
        shown.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('=')?.parse().ok())
    };
    // CLD_KILLED and CLD_DUMPED of waitid(2).
    let is_signal = matches!(value("ExecMainCode"), Some(2 | 3));
    value("ExecMainStatus").filter(|_| is_signal).map(|it| it + 128)
}

/// What systemd-run is told.
fn arguments(task: &Task<'_>, settings: &Settings) -> Vec<String> {
    let Task { service: _, unit, description, folder, command } = task;
    let Settings { user, group, groups, umask, is_dynamic, environment, files, unset, .. } =
        settings;
    let mut all: Vec<String> = ["--wait", "--pipe", "--quiet", "--service-type=exec"]
        .iter()
        .map(|it| (*it).to_owned())
        .collect();
    all.push(format!("--unit={unit}"));
    all.push(format!("--description={description}"));
    all.push(format!("--working-directory={}", folder.display()));
    let mut property = |name: &str, value: &str| all.push(format!("--property={name}={value}"));
    for (name, value) in [("User", user), ("Group", group)] {
        if !value.is_empty() {
            property(name, value);
        }
    }
    if !groups.is_empty() {
        property("SupplementaryGroups", &groups.join(" "));
    }
    property("UMask", &format!("{umask:04o}"));
    if *is_dynamic {
        property("DynamicUser", "yes");
    }
    for (path, may_be_missing) in files {
        let dash = if *may_be_missing { "-" } else { "" };
        property("EnvironmentFile", &format!("{dash}{path}"));
    }
    for name in unset {
        property("UnsetEnvironment", name);
    }
    for (property_name, all) in [
        ("LoadCredential", &settings.credentials),
        ("LoadCredentialEncrypted", &settings.encrypted),
    ] {
        for (name, path) in all {
            property(property_name, &format!("{name}:{path}"));
        }
    }
    // Anybody may ask systemd for these: they are no secrets.
    all.extend(environment.iter().map(|it| format!("--setenv={it}")));
    all.extend(["--", "/bin/sh", "-c", START, "sh"].map(str::to_owned));
    // systemd would put variables in.
    all.extend(command.iter().map(|it| it.replace('$', "$$")));
    all
}

fn settings(service: &str) -> Result<Settings, SystemError> {
    let what = || format!("ask systemd about {service}");
    let manager = "/org/freedesktop/systemd1";
    let name = "org.freedesktop.systemd1.Manager";
    let call = ["--json=short", "call", SYSTEMD, manager, name, "LoadUnit", "s", service];
    let answer = Command::tool("busctl").args(call).succeed().map_err(|it| it.during(what()))?;
    let path = serde_json::from_str::<Said>(&answer.stdout_text())
        .ok()
        .and_then(|it| it.data.get(0)?.as_str().map(str::to_owned));
    let strange = || SystemError::new(ErrorKind::Command, "busctl says something else");
    let path = path.ok_or_else(strange)?;
    let get = |interface: &str, names: &[&str]| {
        let get = ["--json=short", "get-property", SYSTEMD, &path, interface];
        let found = Command::tool("busctl").args(get).args(names).succeed();
        found.map(|it| it.stdout_text()).map_err(|it| it.during(what()))
    };
    let loaded = said(&get(UNIT, &["LoadState"])?).ok_or_else(strange)?;
    if loaded[..] != [Value::from("loaded")] {
        let words = format!("systemd does not have the unit {service}");
        return Err(SystemError::new(ErrorKind::NotHere, words));
    }
    let mut settings = read(&get(SERVICE, &SETTINGS)?).ok_or_else(strange)?;
    // systemd before 250 has no such property.
    let encrypted = get(SERVICE, &["LoadCredentialEncrypted"]).ok();
    let encrypted = encrypted.and_then(|it| pairs(said(&it)?.first()?));
    settings.encrypted = encrypted.unwrap_or_default();
    Ok(settings)
}

/// What busctl prints of one property.
#[derive(Deserialize)]
struct Said {
    data: Value,
}

fn said(text: &str) -> Option<Vec<Value>> {
    text.lines().map(|it| Some(serde_json::from_str::<Said>(it).ok()?.data)).collect()
}

/// Of [`SETTINGS`], in their order.
fn read(text: &str) -> Option<Settings> {
    let all = said(text)?;
    let [user, group, groups, umask, dynamic, environment, files, unset, credentials] = &all[..]
    else {
        return None;
    };
    let files = files
        .as_array()?
        .iter()
        .map(|it| Some((it.get(0)?.as_str()?.to_owned(), it.get(1)?.as_bool()?)));
    Some(Settings {
        user: user.as_str()?.to_owned(),
        group: group.as_str()?.to_owned(),
        groups: texts(groups)?,
        umask: u32::try_from(umask.as_u64()?).ok()?,
        is_dynamic: dynamic.as_bool()?,
        environment: texts(environment)?,
        files: files.collect::<Option<_>>()?,
        unset: texts(unset)?,
        credentials: pairs(credentials)?,
        encrypted: vec![],
    })
}

fn texts(value: &Value) -> Option<Vec<String>> {
    value.as_array()?.iter().map(|it| it.as_str().map(str::to_owned)).collect()
}

fn pairs(value: &Value) -> Option<Vec<(String, String)>> {
    let pair =
        |it: &Value| Some((it.get(0)?.as_str()?.to_owned(), it.get(1)?.as_str()?.to_owned()));
    value.as_array()?.iter().map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As systemd 252 says it.
    const SAID: &str = r#"{"type":"s","data":"people"}
{"type":"s","data":""}
{"type":"as","data":["adm","ssl-cert"]}
{"type":"u","data":18}
{"type":"b","data":false}
{"type":"as","data":["A=1","B=two words"]}
{"type":"a(sb)","data":[["/etc/people.env",true],["/etc/other.env",false]]}
{"type":"as","data":["LANG"]}
{"type":"a(ss)","data":[["db","/etc/people.secret"]]}
"#;

    #[test]
    fn a_task_runs_with_what_its_service_runs_with() {
        let settings = read(SAID).unwrap();
        let command = ["bin/api".to_owned(), "$HOME".to_owned(), "-x".to_owned()];
        let task = Task {
            service: "people-api.service",
            unit: "steadfast-task-1.service",
            description: "d",
            folder: Path::new("/srv/people-api/deployments/ab/tree"),
            command: &command,
        };
        assert_eq!(
            arguments(&task, &settings).join("\n"),
            "--wait\n--pipe\n--quiet\n--service-type=exec\n--unit=steadfast-task-1.service\n\
             --description=d\n--working-directory=/srv/people-api/deployments/ab/tree\n\
             --property=User=people\n--property=SupplementaryGroups=adm ssl-cert\n\
             --property=UMask=0022\n--property=EnvironmentFile=-/etc/people.env\n\
             --property=EnvironmentFile=/etc/other.env\n--property=UnsetEnvironment=LANG\n\
             --property=LoadCredential=db:/etc/people.secret\n--setenv=A=1\n--setenv=B=two words\n\
             --\n/bin/sh\n-c\ntrap : HUP INT TERM; /usr/bin/env -- \"$$@\"; exit $$?\nsh\n\
             bin/api\n$$HOME\n-x"
        );
        assert_eq!(read("{\"type\":\"s\",\"data\":\"people\"}\n"), None);
    }

    #[test]
    fn a_signal_is_told_as_a_shell_tells_it() {
        assert_eq!(signal_of("ExecMainCode=2\nExecMainStatus=15\n"), Some(143));
        assert_eq!(signal_of("ExecMainCode=3\nExecMainStatus=6\n"), Some(134));
        assert_eq!(signal_of("ExecMainCode=1\nExecMainStatus=7\n"), None);
        assert_eq!(signal_of("ExecMainCode=0\nExecMainStatus=0\n"), None);
    }
}
