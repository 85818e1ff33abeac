//! The settings, when they are read again, and what follows from them at once.

use super::socket;
use super::state::Shell;
use crate::machine::{Config, Input};
use steadfast_node::settings;

impl Shell {
    pub(super) fn reload(&mut self) {
        if let Some(input) = self.reloaded() {
            self.step(input);
        }
    }

    /// The settings as they are now; where they have errors, those that hold go on.
    pub(super) fn reloaded(&mut self) -> Option<Input> {
        match settings::read_file(&self.setup.settings) {
            Ok((settings, warnings)) => {
                for warning in warnings {
                    tracing::warn!("{warning}");
                }
                if settings.group != self.settings.group {
                    let path = self.setup.layout.socket();
                    socket::admit(&path, &settings.group);
                }
                self.settings = settings;
                self.serve_metrics();
                tracing::info!("the settings were reloaded");
                Some(Input::Configured(Config::from_settings(&self.settings, &self.setup.host)))
            }
            Err(error) => {
                let words = format!(
                    "the new settings have errors, so those from before stay in effect: {error}"
                );
                tracing::error!("{words}");
                None
            }
        }
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
