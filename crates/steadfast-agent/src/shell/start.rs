//! How the agent begins, and how it ends.

use super::reload::tell_wrong;
use super::setup::{Ended, Setup, ShellError};
use super::state::Shell;
use super::{signals, socket, stored};
use crate::machine::{Agent, Config, Input};
use jiff::Timestamp;
use steadfast_node::settings::InEffect;
use steadfast_store::{LockError, RunLock};
use tokio::sync::mpsc;

/// Runs the agent until it is told to end.
pub fn run(setup: Setup) -> Result<Ended, ShellError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(ShellError::Runtime)?;
    let ended = runtime.block_on(begin(setup));
    // A file system that does not answer holds nobody up.
    runtime.shutdown_background();
    ended
}

async fn begin(setup: Setup) -> Result<Ended, ShellError> {
    let _lock =
        RunLock::take(&setup.layout.agent_lock(), "steadfast agent").map_err(|err| match err {
            LockError::Held { holder } => ShellError::Running { holder },
            create @ LockError::Create { .. } => ShellError::Lock(create),
        })?;
    let memory = stored::recall(&setup.layout.state)?;
    let InEffect { settings, warnings, wrong } =
        InEffect::read(&setup.settings, &setup.layout.last_settings());
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    if let Some(why) = &wrong {
        tell_wrong(why);
    }
    let (send, receive) = mpsc::channel(256);
    let socket = socket::open(&setup.layout.socket(), &settings.group)
        .map_err(|err| ShellError::Socket { path: setup.layout.socket(), err })?;
    tokio::spawn(socket::serve(socket, send.clone()));
    signals::listen(&send).map_err(ShellError::Runtime)?;
    let now = Timestamp::now();
    let config = Config::from_settings(&settings, &setup.host);
    let agent = Agent::new(config, memory, seed(&setup.host, now), now);
    let mut shell = Shell::new(setup, settings, agent, send);
    shell.wrong_settings = wrong;
    shell.serve_metrics();
    shell.step(Input::Woke);
    shell.manager.ping();
    let ended = shell.turn(receive).await;
    // What is new can be asked for again; nothing of ours is left behind.
    shell.children.end();
    match ended {
        Ended::Stopped => shell.manager.stopping(),
        // The service goes on. Told otherwise, systemd would end it once it took too long to stop.
        Ended::Reexecute => {}
    }
    let _stays_deaf = socket::close(&shell.setup.layout.socket());
    Ok(ended)
}

/// Something that differs between machines and between starts.
fn seed(host: &str, now: Timestamp) -> u64 {
    let start = now.as_microsecond().unsigned_abs() ^ u64::from(std::process::id());
    host.bytes().fold(start, |seed, byte| seed.rotate_left(7) ^ u64::from(byte))
}
