//! The signals that the agent listens to. Between two binaries of it there is nobody who does, and each of
//! them would end the process: meanwhile they wait.

use super::event::Event;
use nix::sys::signal::{SigSet, Signal};
use std::time::Duration;
use tokio::signal::unix::SignalKind;
use tokio::sync::mpsc::{Receiver, Sender};
use tokio::time::Instant;

const ALL: [(Signal, fn() -> Event); 4] = [
    (Signal::SIGHUP, || Event::Hangup),
    (Signal::SIGUSR2, || Event::Upgraded),
    (Signal::SIGTERM, || Event::Terminate),
    (Signal::SIGINT, || Event::Terminate),
];

fn all() -> SigSet {
    ALL.iter().map(|(signal, _)| *signal).collect()
}

/// From here on they wait, also while another program takes this one's place, until they are listened to.
pub fn hold() -> std::io::Result<()> {
    Ok(all().thread_block()?)
}

/// Listens to them, and hears those that have waited.
pub(super) fn listen(send: &Sender<Event>) -> std::io::Result<()> {
    for (signal, event) in ALL {
        let kind = SignalKind::from_raw(signal as i32);
        let mut signal = tokio::signal::unix::signal(kind)?;
        let send = send.clone();
        tokio::spawn(async move {
            while signal.recv().await.is_some() && send.send(event()).await.is_ok() {}
        });
    }
    Ok(all().thread_unblock()?)
}

/// What was taken already reaches the loop at its next turn. Longer than this it is not waited for,
/// whatever else comes meanwhile.
const TAKEN: Duration = Duration::from_millis(100);

/// Whether the agent was asked to end before it becomes another program. From here on signals wait for
/// that one; those that this one has taken it would never hear of.
pub(super) async fn asked_to_end(receive: &mut Receiver<Event>) -> bool {
    // Where they cannot be held, one in the next moment ends the agent, which is what most of them are for.
    let _held = hold();
    let until = Instant::now() + TAKEN;
    while let Ok(Some(event)) = tokio::time::timeout_at(until, receive.recv()).await {
        match event {
            Event::Terminate => return true,
            // The other program begins with the settings and a look at everything, and looks at itself.
            Event::Hangup
            | Event::Upgraded
            | Event::Touched(_)
            | Event::Watch { .. }
            | Event::LookedAtAll { .. } => {}
            // Whoever asked sees that nobody answers, and children end with the one that started them.
            Event::Ask { .. } | Event::Input(_) => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "a test plays everybody else's part")]

    use super::*;
    use nix::sys::signal::raise;
    use tokio::sync::mpsc;

    /// What is said of signals that come while the loop is not turning.
    fn asked(signals: &[Signal]) -> bool {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (send, mut receive) = mpsc::channel(16);
            listen(&send).unwrap();
            for signal in signals {
                raise(*signal).unwrap();
            }
            asked_to_end(&mut receive).await
        })
    }

    #[test]
    fn a_signal_that_was_taken_before_another_program_takes_over_is_heard() {
        assert!(asked(&[Signal::SIGTERM]));
        assert!(asked(&[Signal::SIGHUP, Signal::SIGINT, Signal::SIGUSR2]));
        assert!(!asked(&[Signal::SIGHUP, Signal::SIGUSR2]));
        // From then on they wait.
        raise(Signal::SIGTERM).unwrap();
        let pending = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        let bits = pending.lines().find_map(|it| it.strip_prefix("SigPnd:")).unwrap().trim();
        let term = 1 << (Signal::SIGTERM as u32 - 1);
        assert_ne!(u64::from_str_radix(bits, 16).unwrap() & term, 0, "{pending}");
    }
}
