//! The settings, when they are read again, and what follows from them at once.

use super::socket;
use super::state::Shell;
use crate::machine::{Config, Input};
use steadfast_node::settings::InEffect;

impl Shell {
    pub(super) fn reload(&mut self) {
        if let Some(input) = self.reloaded() {
            self.step(input);
        }
    }

    /// The settings as they are now; where they have errors, those that hold go on.
    pub(super) fn reloaded(&mut self) -> Option<Input> {
        let now = self.settings_now();
        if let Some(why) = now.wrong {
            tell_wrong(&why);
            self.wrong_settings = Some(why);
            return None;
        }
        Some(self.take_settings(now))
    }

    /// Whoever mends settings that were wrong need not say so.
    pub(super) fn look_at_wrong_settings(&mut self) -> Option<Input> {
        let before = self.wrong_settings.as_ref()?;
        let now = self.settings_now();
        match &now.wrong {
            None => return Some(self.take_settings(now)),
            Some(why) if why == before => {}
            Some(why) => {
                tell_wrong(why);
                self.wrong_settings = now.wrong;
            }
        }
        None
    }

    fn settings_now(&self) -> InEffect {
        InEffect::read(&self.setup.settings, &self.setup.layout.last_settings())
    }

    fn take_settings(&mut self, now: InEffect) -> Input {
        let InEffect { settings, warnings, wrong } = now;
        for warning in warnings {
            tracing::warn!("{warning}");
        }
        if settings.group != self.settings.group {
            socket::admit(&self.setup.layout.socket(), &settings.group);
        }
        self.settings = settings;
        self.wrong_settings = wrong;
        self.serve_metrics();
        tracing::info!("the settings were reloaded");
        Input::Configured(Config::from_settings(&self.settings, &self.setup.host))
    }

    /// Serves metrics on the address that the settings name.
    pub(super) fn serve_metrics(&mut self) {
        let wanted = self.settings.listen.clone();
        if self.metrics.as_ref().map(|(address, _)| address) == wanted.as_ref() {
            return;
        }
        if let Some((_, task)) = self.metrics.take() {
            task.abort();
        }
        let Some(address) = wanted else { return };
        match socket::listen(&address) {
            Ok(listener) => {
                let task = tokio::spawn(socket::serve_metrics(listener, self.send.clone()));
                self.metrics = Some((address, task));
            }
            Err(err) => {
                let words = format!("metrics cannot be served on {address}: {err}");
                tracing::warn!("{words}");
            }
        }
    }
}

/// In lines, as it was written for people.
pub(super) fn tell_wrong(why: &str) {
    tracing::error!("the settings have errors, so those from before stay in effect:\n{why}");
}
