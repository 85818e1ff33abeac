//! What a program says in its journal is told to people, and kept: without the secrets that it was given.

use std::sync::Arc;
use steadfast_engine::component::Illness;
use steadfast_system::secrets::Secret;

/// What stands in the place of a secret.
const MASK: &str = "(secret)";
/// What is shorter stands in too many words that are none.
const SHORTEST: usize = 4;

/// An illness in which none of these secrets stands; of one with several lines, none of its lines.
#[must_use]
pub fn masked(illness: Illness, secrets: &[Secret]) -> Illness {
    let mut words: Vec<String> = vec![];
    for secret in secrets {
        let text = String::from_utf8_lossy(secret.reveal());
        let lines = text.lines().map(str::trim).filter(|it| it.len() >= SHORTEST);
        words.extend(lines.map(str::to_owned));
    }
    // One may be a part of another.
    words.sort_by_key(|it| std::cmp::Reverse(it.len()));
    let mask = |text: &Arc<str>| -> Arc<str> {
        if !words.iter().any(|it| text.contains(it)) {
            return Arc::clone(text);
        }
        words.iter().fold(text.to_string(), |text, it| text.replace(it, MASK)).into()
    };
    Illness { reason: mask(&illness.reason), journal: illness.journal.iter().map(mask).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_stands_in_what_is_told() {
        let secrets = ["hunter2\n", "abc", "-----BEGIN-----\nMIIE\n", "hunter22"];
        let secrets = secrets.map(|it| Secret::new(it.as_bytes().to_vec()));
        let illness = Illness {
            reason: "it exited: password hunter22 is wrong".into(),
            journal: vec!["login hunter2:hunter2".into(), "key MIIE, abc".into()],
        };
        let Illness { reason, journal } = masked(illness, &secrets);
        assert_eq!(&*reason, "it exited: password (secret) is wrong");
        let journal: Vec<&str> = journal.iter().map(|it| &**it).collect();
        assert_eq!(journal, ["login (secret):(secret)", "key (secret), abc"]);
    }
}
