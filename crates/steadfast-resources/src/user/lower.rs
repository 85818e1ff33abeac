//! How a promise about a user is read.

use super::User;
use super::desired::{Desired, Groups, HomeState, PasswordHash, Present, Wanted};
use super::keys::{Keys, SshKey};
use super::limits::{LIMITS, limit_name, parse_date};
use crate::account_fields::{list_in_form, one_field, short_state};
use crate::kind::Kind as _;
use std::sync::Arc;
use steadfast_model::lower::nearest;
use steadfast_model::{Diagnostic, Fields, Lower, Node, Rendered, Spanned, Value, codes};
use steadfast_system::accounts::Limit;
use steadfast_system::{AbsPath, GroupName, UserName};

/// The fields that say something about a user who is there.
const PRESENT_FIELDS: [&str; 16] = [
    "uid",
    "group",
    "groups",
    "home",
    "home_state",
    "shell",
    "comment",
    "password_hash",
    "locked",
    "expires",
    "inactive",
    "password_min_days",
    "password_max_days",
    "password_warn_days",
    "ssh_keys",
    "system",
];

/// As whom the agent fetches, verifies and unpacks: without them no later revision arrives.
const OURS: [&str; 3] = ["steadfast-fetch", "steadfast-verify", "steadfast-unpack"];

pub(super) fn lower(name: &Spanned<Arc<str>>, body: &Node, cx: &mut Lower<'_>) -> Option<Desired> {
    let parsed = match UserName::parse(&name.value) {
        Ok(parsed) => Some(parsed),
        Err(refusal) => {
            cx.error(codes::BAD_NAME, name.span, refusal.to_string());
            None
        }
    };
    let state = match short_state(body, "user", cx)? {
        Some(true) => Wanted::Present(Box::default()),
        Some(false) => Wanted::Absent { remove_home: false, end_sessions: false },
        None => {
            let mut fields = Fields::read(body, "user", User::FIELDS, cx)?;
            match fields.one_of("state", &[("present", true), ("absent", false)]) {
                Some(false) => read_absent(&mut fields),
                Some(true) | None => read_present(&mut fields),
            }
        }
    };
    let parsed = parsed?;
    match &state {
        Wanted::Absent { .. } if parsed.as_str() == "root" => {
            cx.error(codes::BAD_VALUE, name.span, "root cannot be absent");
        }
        Wanted::Absent { .. } if OURS.contains(&parsed.as_str()) => {
            let words = format!(
                "{parsed} cannot be absent: the agent fetches, verifies or unpacks as that user"
            );
            cx.error(codes::BAD_VALUE, name.span, words);
        }
        Wanted::Present(it) if parsed.as_str() == "root" && it.uid.is_some_and(|it| it != 0) => {
            cx.error(codes::BAD_VALUE, name.span, "root cannot have another uid than 0");
        }
        Wanted::Present(_) | Wanted::Absent { .. } => {}
    }
    cx.is_sound().then_some(Desired { name: parsed, state })
}

fn read_absent(fields: &mut Fields<'_, '_, '_>) -> Wanted {
    for field in PRESENT_FIELDS {
        if fields.has(field) {
            let message = format!("a user who is absent has no `{field}`");
            fields.error(codes::CONFLICTING_FIELDS, fields.key_span(field), message);
        }
    }
    Wanted::Absent {
        remove_home: fields.boolean("remove_home").unwrap_or(false),
        end_sessions: fields.boolean("end_sessions").unwrap_or(false),
    }
}

fn read_present(fields: &mut Fields<'_, '_, '_>) -> Wanted {
    for field in ["remove_home", "end_sessions"] {
        if fields.has(field) {
            let message = format!("`{field}` needs `state: absent`");
            fields.error(codes::CONFLICTING_FIELDS, fields.key_span(field), message);
        }
    }
    let groups = fields.node("groups").and_then(|node| {
        let forms = ["exactly", "without"];
        let list = list_in_form(node, "`groups`", &forms, codes::BAD_NAME, fields.cx, |it| {
            GroupName::parse(it)
        });
        Some(match list? {
            (Some("exactly"), names) => Groups::Exactly(names),
            (Some(_), names) => Groups::Without(names),
            (None, names) => Groups::AtLeast(names),
        })
    });
    let ssh_keys = read_keys(fields);
    let home_states = [
        ("present", HomeState::Present),
        ("absent", HomeState::Absent),
        ("unmanaged", HomeState::Unmanaged),
    ];
    let home_state = fields.one_of("home_state", &home_states);
    if home_state == Some(HomeState::Absent) && fields.has("ssh_keys") {
        let message = "`ssh_keys` lie in the home, and `home_state: absent` takes it away";
        fields.error(codes::CONFLICTING_FIELDS, fields.key_span("ssh_keys"), message);
    }
    let (password_hash, locked) = read_password(fields);
    Wanted::Present(Box::new(Present {
        uid: fields.id("uid"),
        group: fields.parsed("group", codes::BAD_NAME, GroupName::parse),
        groups,
        home: fields.parsed("home", codes::BAD_PATH, passwd_path),
        home_state,
        shell: fields.parsed("shell", codes::BAD_PATH, passwd_path),
        comment: fields.parsed("comment", codes::BAD_VALUE, one_field),
        password_hash,
        locked,
        limits: LIMITS
            .into_iter()
            .filter_map(|limit| read_limit(fields, limit).map(|value| (limit, value)))
            .collect(),
        ssh_keys,
        system: fields.boolean("system").unwrap_or(false),
    }))
}

fn read_keys(fields: &mut Fields<'_, '_, '_>) -> Option<Keys> {
    let node = fields.node("ssh_keys")?;
    let forms = ["exactly"];
    let parse = |text: &str| {
        // A block of text ends in a newline.
        SshKey::parse(text.trim_end()).map_err(|why| format!("`ssh_keys`: {why}"))
    };
    let list = list_in_form(node, "`ssh_keys`", &forms, codes::BAD_VALUE, fields.cx, parse);
    let (form, mut keys) = list?;
    let mut once: Vec<SshKey> = vec![];
    for key in keys.drain(..) {
        if !once.iter().any(|it| it.same(&key)) {
            once.push(key);
        }
    }
    Some(if form.is_some() { Keys::Exactly(once) } else { Keys::AtLeast(once) })
}

/// What stands in the place of a hash where no password is right.
pub(super) const NO_PASSWORD: &str = "*";

fn passwd_path(text: &str) -> Result<AbsPath, String> {
    let path = AbsPath::parse(text).map_err(|refusal| refusal.to_string())?;
    if text.contains(':') {
        return Err("a path in /etc/passwd has no `:`".to_owned());
    }
    Ok(path)
}

/// The hash and the lock. As in shadow(5), `!` before the hash is a lock.
fn read_password(fields: &mut Fields<'_, '_, '_>) -> (Option<PasswordHash>, Option<bool>) {
    let locked = fields.boolean("locked");
    let Some(PasswordHash(hash)) = read_hash(fields) else { return (None, locked) };
    let Some(field) = hash.as_plain().filter(|it| it.starts_with('!')) else {
        return (Some(PasswordHash(hash)), locked);
    };
    if locked == Some(false) {
        let message = "`password_hash` begins with `!`, which is a lock, and `locked` is false";
        fields.error(codes::CONFLICTING_FIELDS, fields.key_span("locked"), message);
    }
    let hash = Rendered::plain(field.trim_start_matches('!'));
    (Some(PasswordHash(hash)), Some(true))
}

fn read_hash(fields: &mut Fields<'_, '_, '_>) -> Option<PasswordHash> {
    let hash = fields.rendered("password_hash")?;
    let good = hash.as_plain().is_none_or(|text| {
        let unlocked = text.trim_start_matches('!');
        is_hash(unlocked.as_bytes())
            || unlocked == NO_PASSWORD
            || (unlocked.is_empty() && unlocked.len() < text.len())
    });
    if !good {
        // What stands there may be the password itself, so it is not repeated.
        let span = fields.node("password_hash").map_or(fields.span(), Node::span);
        fields.cx.report(
            Diagnostic::error(codes::BAD_VALUE, span, "`password_hash` is not a password hash")
                .help(
                    "what `mkpasswd` or `openssl passwd -6` prints, \"*\" or \"!\" for no password, or \
                     { secret: NAME }",
                ),
        );
        return None;
    }
    Some(PasswordHash(hash))
}

fn read_limit(fields: &mut Fields<'_, '_, '_>, limit: Limit) -> Option<Option<i64>> {
    let key = limit_name(limit);
    match limit {
        Limit::Expires => fields.parsed(key, codes::BAD_VALUE, |text| match text {
            "never" => Ok(None),
            date => parse_date(date).map(Some),
        }),
        Limit::Inactive => {
            let node = fields.node(key)?;
            if let Node::Scalar(scalar) = node
                && scalar.value.value == Value::Text
            {
                if &*scalar.value.text == "never" {
                    return Some(None);
                }
                let message = format!("`{key}` cannot be `{}`", scalar.value.text.escape_debug());
                let mut bad = Diagnostic::error(codes::BAD_VALUE, scalar.span, message);
                if let Some(near) = nearest(&scalar.value.text, &["never"]) {
                    bad = bad.label(format!("did you mean `{near}`?"));
                }
                fields.cx.report(bad.help("a number of days, or never"));
                return None;
            }
            read_days(fields, key)
        }
        Limit::MinDays | Limit::MaxDays | Limit::WarnDays => read_days(fields, key),
    }
}

fn read_days(fields: &mut Fields<'_, '_, '_>, key: &str) -> Option<Option<i64>> {
    let days = fields.integer(key)?;
    if !(0..=99_999).contains(&days.value) {
        fields.error(codes::BAD_VALUE, days.span, format!("`{key}` must be from 0 to 99999"));
        return None;
    }
    Some(Some(days.value))
}

/// Whether this is the output of crypt(3), in full length: neither a password nor a lock.
pub(super) fn is_hash(text: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(text) else { return false };
    let plain = |it: u8| it.is_ascii_graphic() && !b":;*!\\".contains(&it);
    if !text.bytes().all(plain) || text.len() > 512 {
        return false;
    }
    let parts: Vec<&str> = text.split('$').collect();
    let (Some(&""), Some(method), Some(last)) = (parts.first(), parts.get(1), parts.last()) else {
        return false;
    };
    let in_alphabet = last.bytes().all(|it| it.is_ascii_alphanumeric() || b"./".contains(&it));
    let length = match *method {
        "1" => 22,
        "2a" | "2b" | "2x" | "2y" => 53,
        "5" | "7" | "y" | "gy" => 43,
        "6" => 86,
        "sha1" => 28,
        _ => return false,
    };
    in_alphabet && parts.len() >= 4 && last.len() == length
}
