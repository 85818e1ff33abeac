//! What is called around a switch: a program of this machine, or a request that a process without privileges makes.

use super::units::Units;
use crate::artifact::{headers, worker_user};
use crate::download::Duty;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use steadfast_download::archive::error_in;
use steadfast_download::records::Kind;
use steadfast_download::transfer::{Place, Task};
use steadfast_download::worker::{Input, Worker};
use steadfast_model::application::component::Hook;
use steadfast_system::programs::{Program, Run};
use steadfast_system::services::Lives;
use steadfast_system::{UserName, secrets};
use steadfast_trust::text::chain;

/// How long a call may take.
const LIMIT: Duration = Duration::from_secs(60);

/// With what a call is made.
#[derive(Clone, Copy, Debug)]
pub struct Calling<'a> {
    /// This program, which is started for what is done without privileges.
    pub program: &'a Path,
    pub proxy: Option<&'a str>,
    /// Where the component's deployments lie: what comes from there is run as the user of its first service.
    pub directory: &'a str,
    pub units: &'a Units,
}

/// Calls it once. What went wrong, in words that have no secret in them.
pub fn call<S: Lives + Run + secrets::Read>(
    hook: &Hook,
    calling: &Calling<'_>,
    sys: &S,
) -> Result<(), Arc<str>> {
    match hook {
        Hook::Command(command) => {
            let is_its = command.first().is_some_and(|it| {
                it.strip_prefix(calling.directory).is_some_and(|rest| rest.starts_with('/'))
            });
            let user = if is_its { user(calling, sys)? } else { None };
            let program = Program { command, user: user.as_ref(), folder: None, timeout: LIMIT };
            let ended = sys.run_program(&program).and_then(|it| it.succeeded(program.name()));
            ended.map(|_| ()).map_err(|error| error.chain().join(": ").into())
        }
        Hook::Http { url, method, header } => {
            let headers = headers(header, url, sys).map_err(|it| it.chain().join(": "))?;
            let place = Place::Call { url: url.to_string(), method: method.to_string(), headers };
            request(place, calling).map_err(Arc::from)
        }
    }
}

/// Who runs what the component brings; root where its first service does not say.
fn user(calling: &Calling<'_>, sys: &dyn Lives) -> Result<Option<UserName>, Arc<str>> {
    let first: Vec<_> = calling.units.started().into_iter().take(1).collect();
    let lives = sys.lives(&first).map_err(|error| error.chain().join(": "))?;
    match lives.first().and_then(|it| it.user.as_deref()) {
        None | Some("root" | "0") => Ok(None),
        Some(name) => UserName::parse(name).map(Some).map_err(|it| it.to_string().into()),
    }
}

fn request(place: Place, calling: &Calling<'_>) -> Result<(), String> {
    let proxy = calling.proxy.map(str::to_owned);
    let task = Task { place, from: 0, limit: 0, access: None, proxy, idle: LIMIT };
    // Plain data, whose serialization cannot fail.
    let task = serde_json::to_vec(&task).unwrap_or_default();
    let user = worker_user(Duty::Fetch).map_err(|error| chain(&error))?;
    let arguments = ["internal", "transfer"];
    let started = Worker::start(calling.program, &arguments, user, Input::Task(&task));
    let mut worker = started.map_err(|error| chain(&error))?;
    let record = match worker.records.next_record() {
        Ok(record) => record,
        Err(error) => return Err(chain(&worker.ended(&error))),
    };
    match record.kind {
        Kind::End => Ok(()),
        Kind::Failed => Err(chain(&error_in(&record))),
        Kind::Directory
        | Kind::File
        | Kind::Data
        | Kind::Hole
        | Kind::Symlink
        | Kind::Hardlink
        | Kind::Capabilities
        | Kind::Offset
        | Kind::Document => {
            Err("the process without privileges hands over what nobody asked for".into())
        }
    }
}
