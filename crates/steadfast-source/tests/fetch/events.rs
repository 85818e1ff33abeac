//! What is told while something is fetched: what was transferred and who signed, and never a secret.

use crate::server::{Server, git};
use crate::support::World;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use steadfast_source::settings::{Git, Reference, Source};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

/// Every event and span with its fields, one a line.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<String>>);

struct Fields<'a>(&'a mut String);

impl tracing::field::Visit for Fields<'_> {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
        write!(self.0, " {field}={value:?}").unwrap();
    }
}

impl<S: tracing::Subscriber> Layer<S> for Lines {
    fn on_new_span(
        &self,
        attributes: &tracing::span::Attributes<'_>,
        _id: &tracing::span::Id,
        _context: Context<'_, S>,
    ) {
        let mut lines = self.0.lock().unwrap();
        lines.push_str(attributes.metadata().name());
        attributes.record(&mut Fields(&mut lines));
        lines.push('\n');
    }

    fn on_event(&self, event: &tracing::Event<'_>, _context: Context<'_, S>) {
        let mut lines = self.0.lock().unwrap();
        event.record(&mut Fields(&mut lines));
        lines.push('\n');
    }
}

#[test]
fn events_name_the_transfer_and_who_signed_and_never_a_secret() {
    let mut world = World::new();
    world.repository();
    let key = world.ssh_key("anna");
    let trust = world.allowed(&[("", "anna")]);
    world.signed("model.yaml", "model: y\n", &key);
    let server = Server::https(&["127.0.0.1"], git(world.folder.path().to_owned()));
    let url = format!("{}/work/.git", server.url);
    let mut secure = Git::new(url.clone(), Reference::Branch("main".into()));
    std::fs::write(world.path("token"), "hushhush\n").unwrap();
    std::fs::write(world.path("ca.pem"), &server.certificate).unwrap();
    secure.token_file = Some(world.path("token"));
    secure.ca = Some(world.path("ca.pem"));

    let told = Lines::default();
    let subscriber = tracing_subscriber::registry().with(told.clone());
    tracing::subscriber::with_default(subscriber, || {
        world.fetch(&Source::Git(secure), &trust).unwrap().unwrap();
        let other = world.ssh_key("eve");
        world.signed("model.yaml", "model: z\n", &other);
        world.refused(
            &Source::Git(Git::new(
                format!("file://{}", world.path("work").display()),
                Reference::Branch("main".into()),
            )),
            &trust,
        );
    });
    let told = told.0.lock().unwrap().clone();
    for expected in [
        &format!("git_transfer url={url} reference=\"refs/heads/main\" depth=1"),
        "message=transfer begins",
        "message=transfer ended bytes=",
        "message=signature accepted what=\"commit ",
        "accept source=\"git\" trust=\"allowed_signers\"",
        "message=revision accepted revision=commit ",
        "message=signature refused",
        "message=revision refused kind=Untrusted why=\"commit ",
    ] {
        assert!(told.contains(expected), "{expected}\n{told}");
    }
    // Neither as it is nor in the header in which it is sent.
    for secret in ["hushhush", "aHVzaGh1c2g", "dG9rZW46", "Authorization"] {
        assert!(!told.contains(secret), "{secret}\n{told}");
    }
}
