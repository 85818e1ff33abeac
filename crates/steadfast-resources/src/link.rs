//! # Links
//!
//! A symbolic link leads to a target, which may be relative and need not be there.
//!
//! ```yaml
//! links:
//!   /etc/localtime: /usr/share/zoneinfo/Europe/Brussels
//!   /srv/people/current: { target: releases/1.4.0, owner: deploy }
//!   /etc/nginx/sites-enabled/default: absent
//! ```
//!
//! A link to elsewhere is replaced in one step. Anything else in the way is not kept without `force`.

use crate::fact::Fact;
use crate::identity::Identity;
use crate::kind::{self, Applied, Difference, Fingerprint, Kind, Obstacle, Refusal, Turn};
use crate::made::Made;
use crate::naming::Naming;
use crate::paths::{
    self, Accounts, Ids, Inherited, NewLink, Owners, Removal, Setting, Within, vital, vital_files,
};
use crate::undo::{Effect, Facet, Says};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use steadfast_model::{Field, Fields, Lower, Node, Spanned, Takes, codes};
use steadfast_system::files::{Entry, Expected, Folder, Look, Shape, Wanted};
use steadfast_system::{AbsPath, Actuate, Probe, SystemError};

/// What a promise says about a link.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Desired {
    path: AbsPath,
    /// None: there is no link.
    target: Option<Arc<str>>,
    force: bool,
    owners: Owners,
    /// What other promises make there without naming it.
    made: Arc<[Made]>,
}

impl Desired {
    pub fn path(&self) -> &AbsPath {
        &self.path
    }

    /// What it says of its path: the target, that is. A link has no mode.
    fn says(&self) -> Says {
        match self.target {
            Some(_) => Says { mode: true, ..self.owners.says(true, None) },
            None => Says::ALL,
        }
    }
}

/// What is at the path.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    pub folder: Option<Folder>,
    pub entry: Option<Entry>,
    pub ids: Ids,
    /// What a new link gets from the directory.
    pub inherits: Option<Inherited>,
    /// Why it is no place for a promise.
    pub ours: Option<String>,
    /// What is in the directory that gives way to it.
    pub within: Within,
}

pub use crate::paths::Change;

#[derive(Debug)]
pub struct Link;

const STATES: &[&str] = &["present", "absent"];

impl Kind for Link {
    const NAME: &'static str = "link";
    const SHORT_FORMS: &'static [Takes] = &[Takes::Text];
    const MAY_SAY: &'static str = "its target, or a map of fields";
    const FIELDS: &'static [Field] = &[
        Field::new("state", Takes::Words(STATES), "Whether the link exists (default: present)"),
        Field::new("target", Takes::Text, "The path it points to, which may be relative"),
        Field::new(
            "force",
            Takes::Boolean,
            "Replace anything at this path that is not a link (default: false)",
        ),
        Field::new("owner", paths::NAME_OR_NUMBER, "The owning user (a new link: root)"),
        Field::new(
            "group",
            paths::NAME_OR_NUMBER,
            "The owning group (a new link: root, or inherited from a setgid directory)",
        ),
    ];
    type Desired = Desired;
    type State = State;
    type Change = Change;

    fn lower(name: &Spanned<Arc<str>>, body: &Node, cx: &mut Lower<'_>) -> Option<Desired> {
        let path = paths::lower_path(name, cx);
        if matches!(body, Node::Scalar(_)) {
            let text = cx.as_text(body, "a link")?;
            let target = match &*text.value {
                "absent" => None,
                "present" => {
                    let message = "`link` needs the field `target`";
                    cx.error(codes::MISSING_FIELD, text.span, message);
                    None
                }
                target => match parse_target(target) {
                    Ok(target) => Some(target),
                    Err(refusal) => {
                        cx.error(codes::BAD_PATH, text.span, refusal);
                        None
                    }
                },
            };
            if let Some(path) = &path {
                vital::refuse_link(path, target.as_deref(), name.span, cx);
                vital_files::refuse_link(path, target.as_deref(), name.span, cx);
            }
            return cx.is_sound().then_some(Desired {
                path: path?,
                target,
                force: false,
                owners: Owners::default(),
                made: Arc::default(),
            });
        }
        let mut fields = Fields::read(body, "link", Self::FIELDS, cx)?;
        let absent = fields.one_of("state", &[("present", false), ("absent", true)]);
        let absent = absent.unwrap_or(false);
        if !absent {
            fields.require("target");
        }
        let target = fields.parsed("target", codes::BAD_PATH, parse_target);
        let force = fields.boolean("force").unwrap_or(false);
        let owners = Owners::lower(&mut fields);
        let target = target.filter(|_| !absent);
        if let Some(path) = &path {
            vital::refuse_link(path, target.as_deref(), name.span, fields.cx);
            vital_files::refuse_link(path, target.as_deref(), name.span, fields.cx);
        }
        if !fields.complete() {
            return None;
        }
        Some(Desired { path: path?, target, force, owners, made: Arc::default() })
    }

    fn claims(want: &Desired) -> Vec<Identity> {
        vec![Identity::Path(want.path.clone())]
    }

    fn uses(want: &Desired) -> Vec<Identity> {
        want.owners.uses(&want.path)
    }

    fn is_absent(want: &Desired) -> bool {
        want.target.is_none()
    }

    fn turn(want: &Desired) -> Turn {
        paths::turn(want.target.is_none(), &Self::claims(want))
    }

    fn may_come_with_packages(want: &Desired) -> bool {
        paths::may_come_with_packages(&Self::claims(want))
    }

    fn reaches(want: &Desired) -> Option<(&AbsPath, bool)> {
        want.target.is_none().then_some((&want.path, false))
    }

    fn harms(want: &Desired, named: &AbsPath) -> Option<String> {
        let target = want.target.as_deref();
        let why = vital::no_link(named, target).or_else(|| vital_files::no_link(named, target));
        why.map(Into::into)
    }

    fn set_made(want: &mut Desired, made: Arc<[Made]>) {
        want.made = made;
    }

    fn observe(wants: &[&Desired], sys: &dyn Probe) -> Vec<Result<State, SystemError>> {
        // A file in the way is named by its digest, so that it is not another one that goes.
        let wanted = |want: &Desired| if want.force { Wanted::Digest } else { Wanted::Nothing };
        let asked: Vec<_> = wants.iter().map(|want| (&want.path, wanted(want))).collect();
        let mut accounts = Accounts::new(sys);
        let own = sys.own_folders();
        let mut naming = Naming::new(sys);
        (wants.iter().zip(sys.look(&asked)))
            .map(|(want, look)| {
                let ids = accounts.ids(&want.owners)?;
                let Look { folder, entry } = look?;
                let mut ours = paths::is_ours(&want.path, entry.as_ref(), &own);
                let mut within = Within::default();
                if ours.is_none() && (want.force || !want.made.is_empty()) {
                    let entry = entry.as_ref();
                    (ours, within) =
                        Within::find(&want.path, entry, &want.made, want.force, &mut naming)?;
                }
                let inherits = accounts.inherited(folder.as_ref());
                Ok(State { folder, entry, ids, inherits, ours, within })
            })
            .collect()
    }

    fn set_inherits(have: &mut State, inherits: Option<&Inherited>) {
        have.inherits = inherits.cloned();
    }

    fn plan(want: &Desired, have: &State) -> Difference<Change> {
        if let Some(why) = &have.ours {
            return Difference::refused(Refusal::model(why.clone()));
        }
        let difference = match &want.target {
            Some(target) => plan_there(want, target, have),
            None => plan_absent(want, have),
        };
        paths::refuse_barred(difference, have.folder.as_ref(), have.entry.as_ref())
    }

    fn apply(batch: &[&[Change]], sys: &dyn Actuate) -> Vec<Applied> {
        paths::apply(batch, sys)
    }

    fn effects(change: &Change, _want: &Desired, have: &State) -> Vec<Effect> {
        paths::effects(change, |_| have.entry.as_ref())
    }

    fn says(want: &Desired, facet: &Facet, _is_folder: bool) -> Says {
        facet.as_path().map_or(Says::default(), |_| want.says())
    }

    /// Where it leads, and whose it is.
    fn facts(change: &Change) -> Vec<Fact> {
        paths::facts(change)
    }

    fn fingerprint(have: &State) -> Fingerprint {
        let Some(entry) = &have.entry else {
            return Fingerprint { digest: paths::sha256(b"nothing"), changed: None };
        };
        let mut bytes = paths::words(&entry.shape).as_bytes().to_vec();
        if let Shape::Link { target } = &entry.shape {
            bytes.extend_from_slice(target.as_bytes());
        }
        bytes.push(0);
        bytes.extend(entry.uid.to_le_bytes());
        bytes.extend(entry.gid.to_le_bytes());
        Fingerprint { digest: paths::sha256(&bytes), changed: Some(entry.changed) }
    }

    fn describe(have: &State) -> Vec<(&'static str, String)> {
        paths::describe(have.entry.as_ref())
    }

    fn detail(change: &Change) -> Option<String> {
        paths::detail(change)
    }

    fn deletes(change: &Change) -> u64 {
        paths::deletes(change)
    }
}

/// What the kernel takes as a link's text, without what a terminal would act on.
fn parse_target(text: &str) -> Result<Arc<str>, String> {
    let shown: String = text.escape_debug().take(60).collect();
    if text.is_empty() {
        Err("a link cannot lead to nothing".to_owned())
    } else if text.len() > 4_095 {
        Err(format!("the target `{shown}…` is longer than 4,095 bytes"))
    } else if text.chars().any(char::is_control) {
        Err(format!("the target `{shown}` has a control character"))
    } else {
        Ok(Arc::from(text))
    }
}

fn plan_there(want: &Desired, target: &Arc<str>, have: &State) -> Difference<Change> {
    let mut obstacles: Vec<Obstacle> =
        have.ids.missing(&want.owners).into_iter().map(Obstacle::Missing).collect();
    if have.folder.is_none() {
        obstacles.extend(want.path.parent().map(|it| Obstacle::Missing(Identity::Path(it))));
    }
    if let Some(entry) = &have.entry
        && !matches!(entry.shape, Shape::Link { .. })
    {
        let what = paths::words(&entry.shape);
        let open = have.folder.as_ref().is_some_and(|it| it.open);
        if entry.mounted {
            let why = format!("{what} is in the way, and something is mounted there");
            obstacles.push(Obstacle::refused(Refusal::of_place(open, why)));
        } else if !want.force {
            let why = format!("{what} is in the way (`force: true` removes it)");
            obstacles.push(Obstacle::refused(Refusal::of_place(open, why)));
        }
    }
    obstacles.extend(have.within.refusal.iter().cloned().map(Obstacle::refused));
    if kind::refuses(&obstacles) {
        return Difference { obstacles, ..Difference::none() };
    }
    let replaces = have.entry.as_ref().map_or(Expected::Nothing, paths::seen);
    let mut names = want.owners.of_new(have.inherits.as_ref());
    let (mut uid, mut gid) = have.ids.of_new(have.inherits.as_ref());
    if let Some(entry) = &have.entry
        && let Shape::Link { target: there } = &entry.shape
    {
        if there == target {
            let set =
                Setting::between(&want.path, None, entry, have.ids, None, false, &want.owners);
            let changes = set.map(|it| Change::SetAttributes(vec![it])).into_iter().collect();
            return Difference { changes, obstacles, notes: vec![] };
        }
        uid = have.ids.owner.id().unwrap_or(entry.uid);
        gid = have.ids.group.id().unwrap_or(entry.gid);
        names = want.owners.clone();
    }
    let link = NewLink {
        path: want.path.clone(),
        target: Arc::clone(target),
        uid,
        gid,
        names,
        replaces,
        with: have.within.count,
    };
    let notes = have.entry.as_ref().and_then(paths::not_kept).into_iter().collect();
    Difference { changes: vec![Change::MakeLink(link)], obstacles, notes }
}

fn remove(want: &Desired, seen: &Expected, below: u64) -> Removal {
    Removal {
        path: want.path.clone(),
        below: None,
        seen: seen.clone(),
        whole: *seen == Expected::Directory,
        keep: true,
        count: 1 + below,
    }
}

fn plan_absent(want: &Desired, have: &State) -> Difference<Change> {
    let Some(entry) = &have.entry else { return Difference::none() };
    let what = paths::words(&entry.shape);
    let open = have.folder.as_ref().is_some_and(|it| it.open);
    if entry.mounted {
        let why = format!("{what} is there, and something is mounted on it");
        return Difference::refused(Refusal::of_place(open, why));
    }
    if !want.force && !matches!(entry.shape, Shape::Link { .. }) {
        let why = format!("{what} is there (`force: true` removes it)");
        return Difference::refused(Refusal::of_place(open, why));
    }
    if let Some(why) = &have.within.refusal {
        return Difference::refused(why.clone());
    }
    let removal = remove(want, &paths::seen(entry), have.within.count);
    let mut difference = Difference::new(vec![Change::Remove(vec![removal])]);
    difference.notes.extend(paths::not_kept(entry));
    difference
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paths::Who;
    use crate::paths::tests::{bad, check_example, entry, file, folder, link, lower, show};
    use expect_test::{Expect, expect};

    fn want(text: &str) -> Desired {
        lower::<Link>(text, &[]).unwrap()
    }

    fn at(entry: Option<Entry>) -> State {
        State {
            folder: folder(),
            entry,
            ids: Ids::default(),
            inherits: None,
            ours: None,
            within: Within::default(),
        }
    }

    #[track_caller]
    fn plans(text: &str, have: &State, expected: Expect) -> Difference<Change> {
        let difference = Link::plan(&want(text), have);
        expected.assert_eq(&show(&difference));
        difference
    }

    #[test]
    fn what_is_wrong_with_a_promise_is_said() {
        bad::<Link>(
            "/x: present",
            expect![[r#"
            missing-field at 1:5: `link` needs the field `target`
        "#]],
        );
        bad::<Link>(
            "/x: { force: true }",
            expect![[r#"
            missing-field at 1:5: `link` needs the field `target`
        "#]],
        );
        bad::<Link>(
            "/x: \"\"",
            expect![[r#"
            bad-path at 1:5: a link cannot lead to nothing
        "#]],
        );
        bad::<Link>(
            "/x: { target: \"a\\nb\", mode: \"0644\" }",
            expect![[r#"
            unknown-field at 1:23: `link` has no field `mode`
            bad-path at 1:15: the target `a\nb` has a control character
        "#]],
        );
        bad::<Link>(
            "/: /x",
            expect![[r#"
            bad-value at 1:1: `/` cannot be a link to elsewhere
        "#]],
        );
        bad::<Link>(
            "/x: 7",
            expect![[r#"
            unquoted at 1:5: a link is an integer, not text
        "#]],
        );
    }

    #[test]
    fn what_is_ours_is_no_target() {
        let have = State { ours: Some("it is ours".to_owned()), ..at(None) };
        for text in ["/x: y", "/x: { state: absent, force: true }"] {
            plans(
                text,
                &have,
                expect![[r#"
                refused: it is ours
            "#]],
            );
        }
    }

    #[test]
    fn that_a_large_content_is_not_kept_is_said() {
        let have = at(Some(paths::tests::large_file()));
        plans(
            "/x: { target: y, force: true }",
            &have,
            expect![[r#"
            link to y, replacing a file
            note: its content is larger than 16 MiB and will not be kept
        "#]],
        );
        plans(
            "/x: { state: absent, force: true }",
            &have,
            expect![[r#"
            remove file
            note: its content is larger than 16 MiB and will not be kept
        "#]],
        );
    }

    #[test]
    fn the_example_in_the_documentation_is_right() {
        check_example::<Link>(include_str!("link.rs"), &[]);
    }

    #[test]
    fn short_and_long_forms_say_the_same() {
        assert_eq!(want("/x: ../y"), want("/x: { target: ../y, state: present }"));
        assert_eq!(want("/x: absent"), want("/x: { state: absent }"));
        assert!(Link::is_absent(&want("/x: { state: absent, target: y }")));
    }

    #[test]
    fn a_link_is_made_or_turned() {
        plans(
            "/x: y",
            &at(None),
            expect![[r#"
            link to y
        "#]],
        );
        let new = plans(
            "/x: y",
            &at(Some(link("z"))),
            expect![[r#"
            link to y, replacing a symbolic link
        "#]],
        );
        let Change::MakeLink(it) = &new.changes[0] else { panic!("{new:?}") };
        assert_eq!(it.replaces, Expected::Link { target: Arc::from("z") });
        assert_eq!(Link::deletes(&new.changes[0]), 0);
        assert!(Link::plan(&want("/x: y"), &at(Some(link("y")))).is_kept());
    }

    #[test]
    fn owners_are_the_links_own() {
        let mut have = at(Some(link("y")));
        have.ids = Ids { owner: Who::Id(5), group: Who::Unsaid };
        let new = plans(
            "/x: { target: y, owner: deploy }",
            &have,
            expect![[r#"
            set owner root -> deploy
        "#]],
        );
        let Change::SetAttributes(all) = &new.changes[0] else { panic!("{new:?}") };
        assert_eq!(all[0].seen, Expected::Link { target: Arc::from("y") });
        assert_eq!(all[0].to.mode, None);
        have.ids.owner = Who::Missing;
        have.folder = None;
        have.entry = None;
        plans(
            "/srv/x: { target: y, owner: deploy }",
            &have,
            expect![[r#"
                link to y (deploy:root)
                missing: user deploy
                missing: /srv
            "#]],
        );
    }

    #[test]
    fn what_is_not_a_link_gives_way_to_force_alone() {
        let there = at(Some(file("a", 0o644)));
        plans(
            "/x: y",
            &there,
            expect![[r#"
            refused: a regular file is in the way (`force: true` removes it)
        "#]],
        );
        let new = plans(
            "/x: { target: y, force: true }",
            &there,
            expect![[r#"
            link to y, replacing a file
        "#]],
        );
        assert_eq!(Link::deletes(&new.changes[0]), 1);
        let mut mounted = entry(Shape::Directory, 0o755);
        mounted.mounted = true;
        plans(
            "/x: { target: y, force: true }",
            &at(Some(mounted)),
            expect![[r#"
            refused: a directory is in the way, and something is mounted there
        "#]],
        );
    }

    #[test]
    fn an_absent_link_is_removed() {
        plans("/x: absent", &at(None), expect![""]);
        plans(
            "/x: absent",
            &at(Some(link("y"))),
            expect![[r#"
            remove symbolic link
        "#]],
        );
        plans(
            "/x: absent",
            &at(Some(file("a", 0o644))),
            expect![[r#"
            refused: a regular file is there (`force: true` removes it)
        "#]],
        );
        plans(
            "/x: { state: absent, force: true }",
            &at(Some(file("a", 0o644))),
            expect![[r#"
            remove file
        "#]],
        );
    }

    #[test]
    fn a_fingerprint_is_of_target_and_owner() {
        let digest = |target: &str| Link::fingerprint(&at(Some(link(target)))).digest;
        assert_eq!(digest("a"), digest("a"));
        assert_ne!(digest("a"), digest("b"));
        assert_ne!(digest("a"), Link::fingerprint(&at(None)).digest);
    }
}
