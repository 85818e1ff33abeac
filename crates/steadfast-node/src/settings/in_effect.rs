//! The settings in effect: what the file says, or what it said when it last had no errors. A file that an
//! editor or a full disk has left half written stops no agent from keeping what it has adopted.

use super::{Settings, SettingsError, bytes_of, is_silent, parse};
use std::path::Path;
use steadfast_store::state_files;
use steadfast_trust::text::chain;

#[derive(Clone, Debug, PartialEq)]
pub struct InEffect {
    pub settings: Settings,
    pub warnings: Vec<String>,
    /// What is wrong with the file, where these are not its settings.
    pub wrong: Option<String>,
}

impl InEffect {
    /// Reads the file at `path`; what is good is kept at `last`, for the next time.
    pub fn read(path: &Path, last: &Path) -> InEffect {
        let (mut found, bytes) = InEffect::found(path, last);
        if let Some(bytes) = bytes
            && let Err(err) = state_files::write(last, &bytes)
        {
            found.warnings.push(format!("the settings cannot be kept for the next start: {err}"));
        }
        found
    }

    /// The same, for commands beside the agent: nothing is kept.
    pub fn look(path: &Path, last: &Path) -> InEffect {
        InEffect::found(path, last).0
    }

    /// What holds, and the bytes of the file where they are good and not those that are kept.
    fn found(path: &Path, last: &Path) -> (InEffect, Option<Vec<u8>>) {
        let (known, unread) = match state_files::read(last) {
            Ok(known) => (known, None),
            Err(err) => (None, Some(format!("read {}: {err}", last.display()))),
        };
        let before = known.as_deref().filter(|it| !is_silent(it));
        let read = bytes_of(path).and_then(|bytes| {
            let wrong = |words| SettingsError::Wrong { path: path.to_owned(), words };
            // Who sets nothing yet has nothing that could be lost.
            match &unread {
                _ if !is_silent(&bytes) => {}
                Some(why) => {
                    let words =
                        format!("it says nothing, and what it said before is unknown: {why}");
                    return Err(wrong(words));
                }
                None if before.is_some() => {
                    return Err(wrong("it says nothing, and it did before".to_owned()));
                }
                None => {}
            }
            parse(path, &bytes).map(|it| (it, bytes))
        });
        match read {
            Ok(((settings, warnings), bytes)) => {
                let new = (known.as_deref() != Some(&bytes)).then_some(bytes);
                (InEffect { settings, warnings, wrong: None }, new)
            }
            Err(error) => {
                let before = before.and_then(|it| parse(last, it).ok());
                let settings = before.map(|(settings, _)| settings).unwrap_or_default();
                let warnings = unread.into_iter().collect();
                (InEffect { settings, warnings, wrong: Some(chain(&error)) }, None)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "a test writes the settings that it reads")]

    use super::*;

    #[test]
    fn what_was_good_last_holds_while_the_file_has_errors_is_empty_or_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let [path, last] = ["agent.yaml", "state/last"].map(|it| folder.path().join(it));
        let read = || InEffect::read(&path, &last);
        let environment = |it: &InEffect| it.settings.environment.as_deref().map(str::to_owned);
        let begin = read();
        assert_eq!((environment(&begin), begin.wrong), (None, None), "nothing was ever set");
        std::fs::write(&path, "environment: [half\n").unwrap();
        let begin = read();
        assert!(environment(&begin).is_none() && begin.wrong.is_some());

        std::fs::write(&path, "environment: test\n").unwrap();
        assert_eq!(environment(&read()).as_deref(), Some("test"));
        for wrong in
            ["environment: [half\n", "", "# all of it is gone\n", "environment: 7/x\nno: 1\n"]
        {
            std::fs::write(&path, wrong).unwrap();
            let now = read();
            assert_eq!(environment(&now).as_deref(), Some("test"), "{wrong:?}");
            assert!(now.wrong.unwrap().contains("agent.yaml"), "{wrong:?}");
        }
        std::fs::remove_file(&path).unwrap();
        assert_eq!(environment(&read()).as_deref(), Some("test"));
        std::fs::write(&path, "environment: other\n").unwrap();
        let now = read();
        assert_eq!((environment(&now).as_deref(), now.wrong), (Some("other"), None));
        // Whoever only looks keeps nothing.
        std::fs::write(&path, "environment: new\n").unwrap();
        assert_eq!(environment(&InEffect::look(&path, &last)).as_deref(), Some("new"));
        std::fs::write(&path, "").unwrap();
        assert_eq!(environment(&InEffect::look(&path, &last)).as_deref(), Some("other"));
        // What is kept and cannot be read any more is nothing that was good.
        std::fs::write(&last, "environment: [half\n").unwrap();
        std::fs::write(&path, "no: 1\n").unwrap();
        assert_eq!(environment(&read()), None);
    }
    #[test]
    fn an_empty_file_is_not_believed_while_what_it_said_before_cannot_be_read() {
        let folder = tempfile::tempdir().unwrap();
        let [path, last] = ["agent.yaml", "last"].map(|it| folder.path().join(it));
        // Nobody can read a directory as a file.
        std::fs::create_dir(&last).unwrap();
        for text in ["", "# all of it is gone\n"] {
            std::fs::write(&path, text).unwrap();
            let wrong = InEffect::read(&path, &last).wrong.unwrap();
            assert!(wrong.contains("what it said before is unknown"), "{wrong}");
        }
        std::fs::write(&path, "environment: test\n").unwrap();
        let now = InEffect::read(&path, &last);
        assert_eq!((now.settings.environment.as_deref(), now.wrong), (Some("test"), None));
    }
}
