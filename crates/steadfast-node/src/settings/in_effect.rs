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
        let known = state_files::read(last).ok().flatten();
        let before = known.as_deref().filter(|it| !is_silent(it));
        let read = bytes_of(path).and_then(|bytes| {
            // Who sets nothing yet has nothing that could be lost.
            if is_silent(&bytes) && before.is_some() {
                let words = "it says nothing, and it did before".to_owned();
                return Err(SettingsError::Wrong { path: path.to_owned(), words });
            }
            parse(path, &bytes).map(|it| (it, bytes))
        });
        match read {
            Ok(((settings, mut warnings), bytes)) => {
                if known.as_deref() != Some(&bytes)
                    && let Err(err) = state_files::write(last, &bytes)
                {
                    warnings.push(format!("the settings cannot be kept for the next start: {err}"));
                }
                InEffect { settings, warnings, wrong: None }
            }
            Err(error) => {
                let before = before.and_then(|it| parse(last, it).ok());
                let settings = before.map(|(settings, _)| settings).unwrap_or_default();
                InEffect { settings, warnings: vec![], wrong: Some(chain(&error)) }
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
        // What is kept and cannot be read any more is nothing that was good.
        std::fs::write(&last, "environment: [half\n").unwrap();
        std::fs::write(&path, "no: 1\n").unwrap();
        assert_eq!(environment(&read()), None);
    }
}
