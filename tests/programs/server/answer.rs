//! What the server answers.

use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::Server;
use super::settings::{Health, Settings};

/// In how many parts what takes long is sent.
const PARTS: u32 = 20;

/// Answers one request; whether the connection ends with it.
pub(crate) fn answer(server: &Server, path: &str, out: &mut impl Write) -> io::Result<bool> {
    let settings = server.with(Settings::clone);
    if path.starts_with("/hold") {
        return hold(server, &settings, out);
    }
    let (status, body) = match path {
        "/health" => match settings.health {
            Health::Silent => loop {
                std::thread::sleep(Duration::from_secs(3600));
            },
            Health::Status(_) if server.began.elapsed() < settings.ill_for => {
                (503, "not yet\n".into())
            }
            Health::Status(status) => (status, format!("{status}\n")),
        },
        _ => (settings.answer, format!("{}\n", who(&settings))),
    };
    std::thread::sleep(settings.answer_after);
    let closes = server.ends();
    let length = format!("Content-Length: {}", body.len());
    let text = format!("{}{body}", head(&settings, status, &length, closes));
    out.write_all(text.as_bytes())?;
    Ok(closes)
}

fn head(settings: &Settings, status: u16, length: &str, closes: bool) -> String {
    let reason = if status == 200 { "OK" } else { "Told So" };
    let connection = if closes { "close" } else { "keep-alive" };
    let release = &settings.release;
    format!(
        "HTTP/1.1 {status} {reason}\r\nContent-Type: application/json\r\n{length}\r\nX-Release: {release}\r\n\
         Connection: {connection}\r\n\r\n"
    )
}

/// An answer that is sent bit by bit.
fn hold(server: &Server, settings: &Settings, out: &mut impl Write) -> io::Result<bool> {
    let first = head(settings, settings.answer, "Transfer-Encoding: chunked", false);
    out.write_all(first.as_bytes())?;
    for part in 0..PARTS {
        out.write_all(format!("5\r\n{part:4}\n\r\n").as_bytes())?;
        std::thread::sleep(settings.hold / PARTS);
    }
    let last = format!("{}\n", who(settings));
    out.write_all(format!("{:x}\r\n{last}\r\n0\r\n\r\n", last.len()).as_bytes())?;
    Ok(server.ends())
}

/// Who answers.
fn who(settings: &Settings) -> Value {
    json!({
        "name": settings.name,
        "release": settings.release,
        "says": settings.says,
        "process": std::process::id(),
        "flags": settings.flags.as_deref().map_or(Value::Null, flags),
    })
}

/// The flags as they are in the file now, in either of its two forms.
fn flags(path: &Path) -> Value {
    let Some(Value::Object(all)) =
        std::fs::read(path).ok().and_then(|it| serde_json::from_slice(&it).ok())
    else {
        return Value::Null;
    };
    let Some(flagd) = all.get("flags").and_then(Value::as_object) else {
        return Value::Object(all);
    };
    let value = |flag: &Value| {
        let variant = flag["defaultVariant"].as_str()?;
        flag["variants"].get(variant).cloned()
    };
    let values = flagd.iter().map(|(name, it)| (name.clone(), value(it).unwrap_or_default()));
    Value::Object(values.collect::<Map<String, Value>>())
}
