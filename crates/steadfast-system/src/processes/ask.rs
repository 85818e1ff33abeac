//! Having it looked at by a program that may.

use super::{Answer, Question};
use crate::command::Command;
use crate::{ErrorKind, SystemError, services};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// How the units are called in which it runs; a process and a number follow.
const UNIT: &str = "steadfast-who-";
/// Longer than a look takes that ends by itself.
const TIME: Duration = Duration::from_secs(45);

/// What the program in the unit may do, and what it may take: it reads what strangers have written. It is root
/// without what makes root powerful, and neither traces nor writes into the memory of others.
const BOUNDS: [&str; 12] = [
    "Description=steadfast: a look at what processes use",
    "CapabilityBoundingSet=CAP_SYS_PTRACE CAP_DAC_READ_SEARCH",
    "NoNewPrivileges=yes",
    "SystemCallFilter=@system-service",
    "SystemCallFilter=~@debug process_vm_readv process_vm_writev",
    "SystemCallErrorNumber=EPERM",
    "SystemCallArchitectures=native",
    "RestrictAddressFamilies=AF_UNIX",
    "RestrictNamespaces=yes",
    "RuntimeMaxSec=40",
    "MemoryMax=512M",
    "TasksMax=16",
];

/// Asks `program`, which is this one, with these arguments; it reads the question and prints the answer.
pub fn ask(program: &Path, arguments: &[&str], question: &Question) -> Result<Answer, SystemError> {
    static ASKED: AtomicU32 = AtomicU32::new(0);
    // Plain data, whose serialization cannot fail.
    let input = serde_json::to_vec(question).unwrap_or_default();
    let command = if services::is_running() {
        let number = ASKED.fetch_add(1, Ordering::Relaxed);
        let unit = format!("--unit={UNIT}{}-{number}", std::process::id());
        let flags = ["--pipe", "--wait", "--collect", "--quiet", &unit];
        let bounds = BOUNDS.iter().map(|it| format!("--property={it}"));
        Command::tool("systemd-run").args(flags).args(bounds).arg("--").arg(program)
    } else {
        Command::tool(program)
    };
    let finished = command.args(arguments).input(input).timeout(TIME).run()?;
    let finished = finished.succeeded("the look at what processes use")?;
    let answer = serde_json::from_slice(&finished.stdout);
    answer.map_err(|err| SystemError::caused(ErrorKind::Command, "what processes use", err))
}
