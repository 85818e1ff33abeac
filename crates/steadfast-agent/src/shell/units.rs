//! What systemd tells of its units over D-Bus: one of them has changed, or what is enabled has.

use super::event::{Event, Touch};
use std::future::poll_fn;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::time::Duration;
use tokio::sync::mpsc::Sender;
use zbus::export::futures_core::Stream as _;
use zbus::message::Type;
use zbus::{MatchRule, MessageStream};

const SYSTEMD: &str = "org.freedesktop.systemd1";
const PATH: &str = "/org/freedesktop/systemd1";
const UNITS: &str = "/org/freedesktop/systemd1/unit";
const MANAGER: &str = "org.freedesktop.systemd1.Manager";
const UNIT: &str = "org.freedesktop.systemd1.Unit";
/// How many signals may wait for us.
const QUEUE: NonZeroUsize = NonZeroUsize::new(1024).unwrap();
/// Between two attempts at a bus that is not there.
const AGAIN: Duration = Duration::from_secs(60);

/// Listens for as long as the agent lives; a bus that is started anew is connected to anew.
pub(super) async fn listen(send: Sender<Event>) {
    let mut first = true;
    loop {
        if let Ok((changed, enabled)) = subscribe().await {
            tracing::debug!("systemd tells of its units");
            // What happened while nobody listened is looked for.
            if !first && send.send(Event::Touched(vec![Touch::AllUnits])).await.is_err() {
                return;
            }
            first = false;
            let told = send.clone();
            let other = tokio::spawn(pass_on(enabled, told, |_| Some(Touch::AllUnits)));
            pass_on(changed, send.clone(), |message| {
                message.header().path().and_then(|it| unit(it.as_str())).map(Touch::Unit)
            })
            .await;
            other.abort();
            tracing::debug!("systemd tells nothing any more");
        }
        if send.is_closed() {
            return;
        }
        tokio::time::sleep(AGAIN).await;
    }
}

async fn subscribe() -> zbus::Result<(MessageStream, MessageStream)> {
    let connection =
        zbus::connection::Builder::system().method_timeout(Duration::from_secs(30)).build().await?;
    let changed = MatchRule::builder()
        .msg_type(Type::Signal)
        .sender(SYSTEMD)
        .path_namespace(UNITS)
        .interface("org.freedesktop.DBus.Properties")
        .member("PropertiesChanged")
        .arg(0, UNIT)
        .build()?;
    let enabled = MatchRule::builder()
        .msg_type(Type::Signal)
        .sender(SYSTEMD)
        .path(PATH)
        .interface(MANAGER)
        .member("UnitFilesChanged")
        .build()?;
    let changed = MessageStream::for_match_rule(changed, &connection, Some(QUEUE)).await?;
    let enabled = MessageStream::for_match_rule(enabled, &connection, Some(QUEUE)).await?;
    // systemd says nothing to those who have not asked.
    connection.call_method(Some(SYSTEMD), PATH, Some(MANAGER), "Subscribe", &()).await?;
    Ok((changed, enabled))
}

/// Until the bus is gone.
async fn pass_on(
    mut from: MessageStream,
    send: Sender<Event>,
    touch: impl Fn(&zbus::Message) -> Option<Touch>,
) {
    while let Some(Ok(message)) = poll_fn(|cx| Pin::new(&mut from).poll_next(cx)).await {
        if let Some(touch) = touch(&message)
            && send.send(Event::Touched(vec![touch])).await.is_err()
        {
            return;
        }
    }
}

/// The name of a unit, from the path of its object: `/…/unit/cron_2eservice`.
fn unit(path: &str) -> Option<String> {
    let escaped = path.strip_prefix(UNITS)?.strip_prefix('/')?;
    let mut name = Vec::with_capacity(escaped.len());
    let mut rest = escaped.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'_' {
            name.push(byte);
            continue;
        }
        let digit = |it: Option<u8>| char::from(it?).to_digit(16);
        let (high, low) = (digit(rest.next())?, digit(rest.next())?);
        name.push(u8::try_from(high * 16 + low).ok()?);
    }
    String::from_utf8(name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_is_told_by_the_path_of_its_object() {
        let cases = [
            ("/org/freedesktop/systemd1/unit/cron_2eservice", Some("cron.service")),
            ("/org/freedesktop/systemd1/unit/a_40b_5fc_2eservice", Some("a@b_c.service")),
            ("/org/freedesktop/systemd1/unit/a_2", None),
            ("/org/freedesktop/systemd1", None),
            ("/org/freedesktop/systemd1/unitary", None),
        ];
        for (path, expected) in cases {
            assert_eq!(unit(path).as_deref(), expected, "{path}");
        }
    }
}
