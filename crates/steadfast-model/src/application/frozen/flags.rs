//! The file of flags of a deployment. Which flags are in it is the deployment's own matter; what they say is the newest
//! that the model says, whatever waits, except where a change of a flag is a step.

use super::content::Contents;
use super::{Frozen, FrozenFlags, FrozenPromise, Reader, content};
use crate::application::FlagHere;
use crate::application::component::{FlagsFile, OnChange};
use crate::application::delivery;
use crate::node::Node;
use crate::promise::Promise;
use serde_json::{Value, json};

impl Frozen {
    /// Lets its file of flags say what the model says by now. A flag that the application has no more keeps what was
    /// said of it last.
    pub fn deliver(&mut self, flags: &[FlagHere]) {
        let Some(own) = self.flags.as_mut().filter(|it| it.on_change != OnChange::Restart) else {
            return;
        };
        for flag in flags {
            if let Some(said) = own.said.get_mut(&*flag.name) {
                *said = delivery::said(flag, own.format);
            }
        }
    }

    /// Whose group may read the file of flags, where only the machine knows that.
    pub fn flags_for(&mut self) -> Option<&mut Reader> {
        let reader = &mut self.flags.as_mut()?.reader;
        matches!(reader, Reader::GroupOf(_)).then_some(reader)
    }

    /// What a digest covers of it: nothing, unless its program has to begin anew for it.
    pub(super) fn counted_flags(&self) -> Option<Value> {
        let own = self.flags.as_ref().filter(|it| it.on_change == OnChange::Restart)?;
        Some(json!({ "file": own.file, "format": own.format, "said": own.said }))
    }
}

impl FrozenFlags {
    /// The promise of its file.
    pub(super) fn body(&self) -> Value {
        let group = match &self.reader {
            Reader::Group(name) => name,
            // As most systems call it.
            Reader::GroupOf(user) => user,
        };
        let content = delivery::text(&self.said, self.format);
        json!({ "content": content, "owner": "root", "group": group, "mode": "0640" })
    }
}

/// The file that a component promises, with the flags that its release reads.
pub(super) fn freeze(
    file: &FlagsFile,
    flags: &[FlagHere],
    promises: &[FrozenPromise],
    shared: &[Promise],
    contents: &Contents,
) -> FrozenFlags {
    let read = flags.iter().filter(|it| it.is_read);
    let reader = match &file.group {
        Some(group) => Reader::Group(group.to_string()),
        None => reader(promises, shared, contents),
    };
    FrozenFlags {
        file: file.path.to_string(),
        format: file.format,
        on_change: file.on_change,
        reader,
        said: read.map(|it| (it.name.to_string(), delivery::said(it, file.format))).collect(),
    }
}

/// The group of the first service.
fn reader(promises: &[FrozenPromise], shared: &[Promise], contents: &Contents) -> Reader {
    let root = Reader::Group("root".to_owned());
    let Some(first) = promises.iter().find(|it| it.kind == "service") else { return root };
    let texts = content::texts_at_hand(first, contents);
    let last = |key: &str| {
        let lines = texts.iter().flat_map(|it| it.lines());
        let value = lines.filter_map(|it| it.trim().strip_prefix(key)?.trim().strip_prefix('='));
        // What systemd puts in is not known here.
        value.map(str::trim).next_back().filter(|it| !it.is_empty() && !it.contains('%'))
    };
    match (last("Group"), last("User")) {
        (Some(group), _) => Reader::Group(group.to_owned()),
        (None, Some(user)) => of_user(user, shared),
        (None, None) => root,
    }
}

/// The primary group of a user, where the component promises that.
fn of_user(user: &str, shared: &[Promise]) -> Reader {
    let promised = shared.iter().find(|it| it.kind == "user" && *it.name.value == *user);
    match promised.map(|it| it.body.get("group")) {
        Some(Some(Node::Scalar(group))) => Reader::Group(group.value.text.to_string()),
        // One of its own name is made for it.
        Some(_) => Reader::Group(user.to_owned()),
        None => Reader::GroupOf(user.to_owned()),
    }
}
