//! What is compared, and which change makes a facet again what it was.

use super::*;
use crate::paths::{former, sha256};
use crate::{absence, changes_back};
use expect_test::{Expect, expect};
use steadfast_system::files::{Digest, Entry, Expected, Mode, Shape};
use steadfast_system::{AbsPath, GroupName, UnitName, UserName};

fn path(path: &str) -> Facet {
    Facet::Path(AbsPath::parse(path).unwrap())
}

fn unit(name: &str) -> UnitName {
    UnitName::parse(name).unwrap()
}

fn file(content: &str) -> FacetState {
    owned(Content::Digest(sha256(content.as_bytes())), 0, 0o644)
}

fn owned(content: Content, uid: u32, mode: u16) -> FacetState {
    FacetState::File { content, uid, gid: 0, mode: Mode(mode) }
}

fn folder(mode: u16) -> FacetState {
    FacetState::Directory { uid: 0, gid: 0, mode: Mode(mode) }
}

fn link(target: &str) -> FacetState {
    FacetState::Link { target: target.into(), uid: 0, gid: 0 }
}

fn text(value: &str) -> FacetState {
    FacetState::Text(value.into())
}

fn key(plain: &Digest) -> Option<Digest> {
    Some(sha256(plain))
}

#[test]
fn what_is_there_is_compared_with_what_was_left() {
    let keyed = Content::Keyed(sha256(&sha256(b"a")));
    let unsaid = |uid| owned(Content::Unsaid, uid, 0o644);
    let gid = |gid| FacetState::Group { gid };
    for (known, now, same) in [
        (file("a"), file("a"), true),
        (file("a"), file("b"), false),
        (file("a"), FacetState::Nothing, false),
        (file("a"), owned(Content::Digest(sha256(b"a")), 7, 0o644), false),
        (file("a"), owned(Content::Digest(sha256(b"a")), 0, 0o600), false),
        // What was not read, or cannot be keyed, is not known to be the same.
        (file("a"), unsaid(0), false),
        (unsaid(0), file("a"), true),
        (unsaid(7), file("a"), false),
        (owned(keyed.clone(), 0, 0o644), file("a"), true),
        (owned(keyed, 0, 0o644), file("b"), false),
        (folder(0o755), folder(0o755), true),
        (folder(0o755), folder(0o700), false),
        (link("a"), link("a"), true),
        (link("a"), link("b"), false),
        (gid(Some(7)), gid(Some(7)), true),
        (gid(Some(7)), gid(Some(8)), false),
        // A number that was never written down may be anybody's.
        (gid(None), gid(Some(7)), false),
        (FacetState::Nothing, FacetState::Nothing, true),
        (FacetState::There, FacetState::There, true),
        (FacetState::There, FacetState::Masked, false),
        (text("a"), text("a"), true),
        (text("a"), text("b"), false),
        (FacetState::Unknown, FacetState::Unknown, false),
    ] {
        assert_eq!(known.is_met_by(&now, key), same, "{known:?} {now:?}");
    }
}

#[test]
fn a_later_change_tells_what_the_first_did_not_need_to_know() {
    let mut before = owned(Content::Unsaid, 7, 0o600);
    before.complete(&file("a"));
    assert_eq!(before, owned(Content::Digest(sha256(b"a")), 7, 0o600));
    before.complete(&file("b"));
    assert_eq!(before, owned(Content::Digest(sha256(b"a")), 7, 0o600));
}

#[track_caller]
fn back(facet: &Facet, now: FacetState, before: &FacetState, expected: Expect) {
    let now = Now { state: now, mounted: false, size: 4, members: vec![], unit: None };
    let content = std::sync::Arc::from(&b"old\n"[..]);
    let about = About { content: Some(&content), hidden: false, named: false };
    let lines = match changes_back(facet, &now, before, &about) {
        Some(changes) => changes.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"),
        None => "nothing does that".to_owned(),
    };
    expected.assert_eq(&lines);
}

#[test]
fn every_path_becomes_what_it_was() {
    let at = path("/etc/x");
    let nothing = FacetState::Nothing;
    back(&at, file("a"), &nothing, expect!["remove file"]);
    back(&at, folder(0o755), &nothing, expect!["remove directory"]);
    back(&at, link("a"), &nothing, expect!["remove symbolic link"]);
    back(&at, file("a"), &file("old\n"), expect!["write 4 bytes (was 4)"]);
    back(&at, nothing.clone(), &file("old\n"), expect!["write 4 bytes (new, mode 0644)"]);
    back(&at, link("a"), &file("old\n"), expect!["write 4 bytes, replacing a symbolic link"]);
    let other = owned(Content::Unsaid, 7, 0o4755);
    back(&at, file("a"), &other, expect!["set mode 0644 -> 4755, owner root -> 7"]);
    back(&at, folder(0o700), &folder(0o755), expect!["set mode 0700 -> 0755"]);
    back(&at, nothing.clone(), &folder(0o755), expect!["make directory (mode 0755)"]);
    back(&at, link("b"), &link("a"), expect!["link to a, replacing a symbolic link"]);
    back(&at, nothing, &link("a"), expect!["link to a"]);
    back(&at, file("a"), &FacetState::Unknown, expect!["nothing does that"]);
}

#[test]
fn units_groups_and_members_become_what_they_were() {
    let (nothing, there, masked) = (FacetState::Nothing, FacetState::There, FacetState::Masked);
    let running = Facet::Running(unit("app"));
    back(&running, there.clone(), &nothing, expect!["stop"]);
    back(&running, nothing.clone(), &there, expect!["start"]);
    let enabled = Facet::Enabled(unit("app"));
    back(&enabled, there.clone(), &nothing, expect!["disable"]);
    back(&enabled, nothing.clone(), &there, expect!["enable"]);
    back(&enabled, there.clone(), &masked, expect!["mask"]);
    back(
        &enabled,
        masked.clone(),
        &there,
        expect![[r#"
        unmask
        enable"#]],
    );
    back(&enabled, masked, &nothing, expect!["unmask"]);
    let group = GroupName::parse("adm").unwrap();
    let member = Facet::Member { group: group.clone(), user: "ann".into() };
    back(&member, there.clone(), &nothing, expect!["remove member ann"]);
    back(&member, nothing.clone(), &there, expect!["add member ann"]);
    let gid = |gid| FacetState::Group { gid: Some(gid) };
    back(&Facet::Group(group.clone()), gid(7), &gid(8), expect!["set gid 7 -> 8"]);
    // These go by their kinds' own rules, and do not come back.
    back(&Facet::Group(group), gid(7), &nothing, expect!["nothing does that"]);
    let user = Facet::User(UserName::parse("ann").unwrap());
    back(&user, nothing, &FacetState::User { line: Some([7; 32]) }, expect!["nothing does that"]);
    assert!(absence(&user).is_some() && absence(&running).is_none());
}

#[test]
fn what_is_not_kept_when_it_makes_way_is_not_known() {
    let entry = |size| Entry {
        shape: Shape::File { size, content: steadfast_system::files::Content::NotRead },
        uid: 7,
        gid: 0,
        mode: Mode(0o600),
        links: 1,
        changed: 0,
        mounted: false,
        marks: steadfast_system::files::Marks::default(),
    };
    let seen = Expected::File { digest: sha256(b"a") };
    let known = owned(Content::Digest(sha256(b"a")), 7, 0o600);
    assert_eq!(former(&seen, Some(&entry(1)), true), known);
    assert_eq!(former(&seen, Some(&entry(1)), false), FacetState::Unknown);
    assert_eq!(former(&seen, Some(&entry(17 << 20)), true), FacetState::Unknown);
    assert_eq!(former(&Expected::AnyFile, Some(&entry(1)), true), FacetState::Unknown);
    assert_eq!(former(&Expected::Directory, Some(&entry(1)), true), FacetState::Unknown);
    assert_eq!(former(&Expected::Nothing, None, true), FacetState::Nothing);
}

#[test]
fn what_cannot_be_keyed_is_not_known() {
    let mut after = file("a");
    after.keyed(|_| None);
    assert_eq!(after, FacetState::Unknown);
    let mut after = file("a");
    after.keyed(key);
    assert_eq!(after, owned(Content::Keyed(sha256(&sha256(b"a"))), 0, 0o644));
}

#[test]
fn a_file_that_came_into_the_place_of_ours_is_not_ours_by_a_new_mode() {
    for mut after in [FacetState::Nothing, link("b"), folder(0o755), FacetState::Unknown] {
        after.then(&owned(Content::Unsaid, 0, 0o600));
        assert_eq!(after, FacetState::Unknown);
        after.then(&file("a"));
        assert_eq!(after, file("a"));
    }
}
