//! What is written down about a transaction of ours, so that the next run knows what is ours to complete.

use super::Conffiles;
use std::fmt::Write as _;

/// What is written down about our transaction, before it begins and where it left something undone.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Marker {
    pub(super) conffiles: Conffiles,
    pub(super) start: bool,
    /// It has begun, and its end was not seen.
    pub(super) running: bool,
    /// Packages that were cut before it began.
    pub(super) foreign: Vec<String>,
    /// Packages that it left half done.
    pub(super) ours: Vec<String>,
}

impl Default for Marker {
    fn default() -> Marker {
        Marker {
            conffiles: Conffiles::Keep,
            start: true,
            running: false,
            foreign: vec![],
            ours: vec![],
        }
    }
}

impl Marker {
    pub(super) fn encode(&self) -> String {
        let conffiles = match self.conffiles {
            Conffiles::Keep => "keep",
            Conffiles::Replace => "replace",
            Conffiles::Fail => "fail",
        };
        let mut text =
            format!("conffiles {conffiles}\nstart {}\nrunning {}\n", self.start, self.running);
        for (word, names) in [("foreign", &self.foreign), ("ours", &self.ours)] {
            for name in names {
                let _infallible = writeln!(text, "{word} {name}");
            }
        }
        text
    }

    /// What cannot be read is as by default.
    pub(super) fn decode(text: &str) -> Marker {
        let mut marker = Marker::default();
        for line in text.lines() {
            match line.split_once(' ') {
                Some(("conffiles", "replace")) => marker.conffiles = Conffiles::Replace,
                Some(("conffiles", "fail")) => marker.conffiles = Conffiles::Fail,
                Some(("start", "false")) => marker.start = false,
                Some(("running", "true")) => marker.running = true,
                Some(("foreign", name)) => marker.foreign.push(name.to_owned()),
                Some(("ours", name)) => marker.ours.push(name.to_owned()),
                Some(_) | None => {}
            }
        }
        marker
    }

    /// Whether a package that was cut is ours to complete.
    pub(super) fn owns(&self, name: &str) -> bool {
        let is = |it: &String| it == name;
        self.ours.iter().any(is) || (self.running && !self.foreign.iter().any(is))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_comes_back_and_says_what_is_ours() {
        let marker = Marker {
            conffiles: Conffiles::Replace,
            start: false,
            running: true,
            foreign: vec!["old".to_owned()],
            ours: vec!["new:i386".to_owned()],
        };
        assert_eq!(Marker::decode(&marker.encode()), marker);
        assert!(marker.owns("new:i386") && marker.owns("other") && !marker.owns("old"));
        let ended = Marker { running: false, ..marker };
        assert!(ended.owns("new:i386") && !ended.owns("other"));
        assert_eq!(Marker::decode("garbage\n\n"), Marker::default());
    }
}
