//! What is remembered of what was made, from adoption to adoption.

use super::*;
use steadfast_engine::{StepEnd, UnitId};
use steadfast_model::PromiseId;
use steadfast_resources::undo::Content;
use steadfast_system::AbsPath;
use steadfast_system::files::Mode;

fn path(path: &str) -> Facet {
    Facet::Path(AbsPath::parse(path).unwrap())
}

fn file(digest: u8) -> FacetState {
    let content = Content::Digest([digest; 32]);
    FacetState::File { content, uid: 0, gid: 0, mode: Mode(0o644) }
}

fn made(at: &str, before: FacetState, after: FacetState) -> UndoEntry {
    UndoEntry {
        scope: Scope::Node,
        facet: path(at),
        promise: PromiseId::new("file", at),
        run: 0,
        before,
        after,
        readers: vec![],
        begun: false,
    }
}

fn store(folder: &tempfile::TempDir) -> Store {
    Store::open(&folder.path().join("state.db")).unwrap()
}

/// Path, what was before, what is left; in this order.
fn shown(made: &[UndoEntry]) -> Vec<(String, FacetState, FacetState)> {
    made.iter().map(|it| (it.facet.to_string(), it.before.clone(), it.after.clone())).collect()
}

fn line(at: &str, before: FacetState, left: FacetState) -> (String, FacetState, FacetState) {
    (at.to_owned(), before, left)
}

#[test]
fn the_first_run_that_made_a_thing_is_remembered_until_it_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder);
    assert_eq!(store.made().unwrap(), []);
    store.begin_run(3, "r");
    store.trace(&[made("/b", FacetState::Nothing, file(1)), made("/a", file(9), file(1))]).unwrap();
    store.begin_run(4, "r");
    store.trace(&[made("/b", file(5), file(2))]).unwrap();
    let all = store.made().unwrap();
    assert_eq!(
        shown(&all),
        [line("/a", file(9), file(1)), line("/b", FacetState::Nothing, file(2))]
    );
    assert_eq!((all[0].run, all[1].run), (3, 3));
    store.forget_made(&[&path("/a")]).unwrap();
    assert_eq!(shown(&store.made().unwrap()), [line("/b", FacetState::Nothing, file(2))]);
}

#[test]
fn what_a_revision_found_and_what_was_there_at_first_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder);
    assert_eq!(store.made_since("a").unwrap(), None);
    store.adopt("a").unwrap();
    store.trace(&[made("/x", file(0), file(1)), made("/only-a", file(0), file(1))]).unwrap();
    for (content, before) in [("b", 1), ("c", 2), ("d", 3)] {
        store.adopt(content).unwrap();
        store.trace(&[made("/x", file(before), file(before + 1))]).unwrap();
    }
    assert_eq!(
        shown(&store.made().unwrap()),
        [line("/only-a", file(0), file(1)), line("/x", file(0), file(4))]
    );
    assert_eq!(shown(&store.made_since("d").unwrap().unwrap()), [line("/x", file(3), file(4))]);
    assert_eq!(store.made_since("c").unwrap(), None);
    // The same content adopted anew has done nothing yet.
    store.adopt("c").unwrap();
    assert_eq!(store.made_since("c").unwrap().unwrap(), []);
    store.adopt("c").unwrap();
    store.trace(&[made("/x", file(4), file(3))]).unwrap();
    assert_eq!(shown(&store.made_since("c").unwrap().unwrap()), [line("/x", file(4), file(3))]);
}

#[test]
fn what_came_to_nothing_is_forgotten_and_numbers_are_filled_in() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder);
    let group = Facet::Group(steadfast_system::GroupName::parse("web").unwrap());
    let new = UndoEntry {
        facet: group.clone(),
        after: FacetState::Group { gid: None },
        ..made("/x", FacetState::Nothing, FacetState::Nothing)
    };
    store.trace(&[new, made("/x", FacetState::Nothing, file(1))]).unwrap();
    let gid = FacetState::Group { gid: Some(990) };
    store
        .amend(
            &Scope::Node,
            &[
                (group, Amended::After(gid.clone())),
                (path("/x"), Amended::CameToNothing(FacetState::Nothing)),
            ],
        )
        .unwrap();
    assert_eq!(shown(&store.made().unwrap()), [line("group web", FacetState::Nothing, gid)]);
    // What was made under another adoption is not forgotten with what failed under this one.
    store.trace(&[made("/y", FacetState::Nothing, file(1))]).unwrap();
    store.adopt("b").unwrap();
    store.trace(&[made("/y", file(1), file(2))]).unwrap();
    store.amend(&Scope::Node, &[(path("/y"), Amended::CameToNothing(file(1)))]).unwrap();
    store.amend(&Scope::Node, &[(path("/y"), Amended::CameToNothing(file(1)))]).unwrap();
    assert_eq!(shown(&store.made().unwrap())[0], line("/y", FacetState::Nothing, file(1)));
}

#[test]
fn after_going_back_what_the_old_one_decides_is_as_it_was_known() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder);
    store.adopt("a").unwrap();
    store.trace(&[made("/both", file(0), file(1))]).unwrap();
    store.adopt("b").unwrap();
    store
        .trace(&[
            made("/both", file(1), file(2)),
            made("/first-b", file(7), file(2)),
            made("/bad", FacetState::Nothing, file(2)),
            made("/changed", FacetState::Nothing, file(2)),
        ])
        .unwrap();
    store.begin_undo(&Scope::Node, &[path("/bad"), path("/nowhere")]).unwrap();
    let begun: Vec<bool> =
        store.made_since("b").unwrap().unwrap().iter().map(|it| it.begun).collect();
    assert_eq!(begun, [true, false, false, false]);
    store.went_back(&[&path("/bad")], &[&path("/both"), &path("/first-b")], "a").unwrap();
    assert_eq!(
        shown(&store.made().unwrap()),
        [
            line("/both", file(0), file(1)),
            line("/changed", FacetState::Nothing, file(2)),
            line("/first-b", file(7), file(2)),
        ]
    );
    // A second attempt finds nothing of it any more.
    assert_eq!(store.made_since("b").unwrap(), None);
    assert_eq!(store.made_since("a").unwrap().unwrap(), []);
}

#[test]
fn what_is_not_known_of_a_later_change_does_not_hide_what_was_left() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder);
    store.trace(&[made("/x", FacetState::Nothing, file(1))]).unwrap();
    store.trace(&[made("/x", FacetState::Unknown, FacetState::Unknown)]).unwrap();
    store.adopt("b").unwrap();
    store.trace(&[made("/x", FacetState::Unknown, FacetState::Unknown)]).unwrap();
    assert_eq!(shown(&store.made().unwrap()), [line("/x", FacetState::Nothing, file(1))]);
}

#[test]
fn that_a_model_promises_everything_holds_until_something_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder);
    assert!(store.is_all_promised("m").unwrap(), "nothing is remembered");
    store.trace(&[made("/w", FacetState::Nothing, file(1))]).unwrap();
    assert!(!store.is_all_promised("m").unwrap());
    store.put_all_promised("m").unwrap();
    assert!(store.is_all_promised("m").unwrap() && !store.is_all_promised("n").unwrap());
    store.trace(&[made("/x", FacetState::Nothing, file(1))]).unwrap();
    assert!(!store.is_all_promised("m").unwrap());
}

fn owned(content: Content, mode: u16) -> FacetState {
    FacetState::File { content, uid: 0, gid: 0, mode: Mode(mode) }
}

#[test]
fn a_new_mode_hides_no_content_in_whatever_adoption() {
    let keyed = Content::Keyed([1; 32]);
    for content in [Content::Digest([1; 32]), keyed] {
        let folder = tempfile::tempdir().unwrap();
        let store = store(&folder);
        store.adopt("a").unwrap();
        store.trace(&[made("/x", FacetState::Nothing, owned(content.clone(), 0o644))]).unwrap();
        for (adopted, mode) in [("a", 0o600), ("b", 0o640), ("c", 0o660)] {
            store.adopt(adopted).unwrap();
            let unsaid = |mode| owned(Content::Unsaid, mode);
            store.trace(&[made("/x", unsaid(0o777), unsaid(mode))]).unwrap();
            let left = owned(content.clone(), mode);
            assert_eq!(store.made_since(adopted).unwrap().unwrap()[0].after, left);
            assert_eq!(
                shown(&store.made().unwrap()),
                [line("/x", FacetState::Nothing, left)],
                "{adopted}"
            );
        }
    }
}

#[test]
fn what_was_there_before_is_completed_by_the_run_that_had_to_know() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder);
    let unsaid = |mode| owned(Content::Unsaid, mode);
    store.adopt("a").unwrap();
    store.trace(&[made("/x", unsaid(0o644), unsaid(0o600))]).unwrap();
    for (adopted, was, is) in [("b", 7, 8), ("c", 8, 9)] {
        store.adopt(adopted).unwrap();
        let of = |it| owned(Content::Digest([it; 32]), 0o600);
        store.trace(&[made("/x", of(was), of(is))]).unwrap();
        let before = owned(Content::Digest([7; 32]), 0o644);
        assert_eq!(shown(&store.made().unwrap()), [line("/x", before, of(is))]);
    }
}

#[test]
fn a_repair_that_came_to_nothing_leaves_what_was_made_before() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder);
    store.adopt("a").unwrap();
    store.trace(&[made("/x", FacetState::Nothing, file(1))]).unwrap();
    store.trace(&[made("/x", file(7), file(1))]).unwrap();
    store.amend(&Scope::Node, &[(path("/x"), Amended::CameToNothing(file(7)))]).unwrap();
    assert_eq!(shown(&store.made().unwrap()), [line("/x", FacetState::Nothing, file(1))]);
    store
        .amend(&Scope::Node, &[(path("/x"), Amended::CameToNothing(FacetState::Nothing))])
        .unwrap();
    assert_eq!(store.made().unwrap(), []);
}

#[test]
fn what_is_made_by_hand_is_no_doing_of_a_revision() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("state.db");
    let by_agent = store(&folder);
    let by_hand = Store::open(&database).unwrap();
    by_hand.set_by_hand();
    // Without an agent nothing was adopted.
    assert!(!by_agent.has_adopted().unwrap());
    by_hand.trace(&[made("/early", FacetState::Nothing, file(1))]).unwrap();
    let by_agent = Store::open(&database).unwrap();
    by_agent.adopt("a").unwrap();
    assert!(by_agent.has_adopted().unwrap());
    by_agent.trace(&[made("/x", file(0), file(1))]).unwrap();
    by_agent.adopt("b").unwrap();
    by_agent
        .trace(&[made("/x", file(1), file(2)), made("/b", FacetState::Nothing, file(2))])
        .unwrap();
    by_hand
        .trace(&[
            made("/hotfix", FacetState::Nothing, file(5)),
            made("/x", file(2), file(5)),
            made("/b", file(2), file(5)),
        ])
        .unwrap();
    let all = [
        line("/b", FacetState::Nothing, file(5)),
        line("/early", FacetState::Nothing, file(1)),
        line("/hotfix", FacetState::Nothing, file(5)),
        line("/x", file(0), file(5)),
    ];
    assert_eq!(shown(&by_agent.made().unwrap()), all);
    // Of the revision only its own is known, so what was done since is found to be another one.
    let bs = [line("/b", FacetState::Nothing, file(2)), line("/x", file(1), file(2))];
    assert_eq!(shown(&by_agent.made_since("b").unwrap().unwrap()), bs);
    // The agent sets it right, and what was done by hand is over.
    by_agent.trace(&[made("/x", file(5), file(2))]).unwrap();
    assert_eq!(shown(&by_agent.made().unwrap())[3], line("/x", file(0), file(2)));
    assert_eq!(shown(&by_agent.made_since("b").unwrap().unwrap()), bs);
    by_agent.went_back(&[&path("/b")], &[&path("/x")], "a").unwrap();
    assert_eq!(
        shown(&by_agent.made().unwrap()),
        [
            line("/early", FacetState::Nothing, file(1)),
            line("/hotfix", FacetState::Nothing, file(5)),
            line("/x", file(0), file(2)),
        ]
    );
}

#[test]
fn what_a_unit_makes_is_kept_apart_until_its_step_ends() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder);
    let unit = UnitId("component:people/api".into());
    let scope = Scope::Unit(unit.clone());
    let its =
        |at: &str, before, after| UndoEntry { scope: scope.clone(), ..made(at, before, after) };
    assert_eq!(store.open_steps().unwrap(), []);
    store.adopt("a").unwrap();
    store.trace(&[made("/x", file(0), file(1))]).unwrap();
    store.begin_step(&unit).unwrap();
    store.trace(&[its("/x", file(1), file(2)), its("/y", FacetState::Nothing, file(1))]).unwrap();
    // A step that was cut off goes on.
    store.begin_step(&unit).unwrap();
    store.trace(&[its("/x", file(2), file(3))]).unwrap();
    store.amend(&scope, &[(path("/y"), Amended::CameToNothing(FacetState::Nothing))]).unwrap();
    let [(known, step)] = &store.open_steps().unwrap()[..] else { panic!("no step is open") };
    assert_eq!((known, &shown(step)[..]), (&unit, &[line("/x", file(1), file(3))][..]));
    // It is no doing of the revision.
    assert_eq!(shown(&store.made().unwrap()), [line("/x", file(0), file(1))]);
    assert_eq!(shown(&store.made_since("a").unwrap().unwrap()), [line("/x", file(0), file(1))]);
    store.begin_undo(&scope, &[path("/x")]).unwrap();
    assert!(store.open_steps().unwrap()[0].1[0].begun && !store.made().unwrap()[0].begun);
    store.end_step(&unit, StepEnd::TakenBack).unwrap();
    assert_eq!(store.open_steps().unwrap(), []);
    // The next step knows nothing of what was taken back, and what was committed is no part of it.
    store.begin_step(&unit).unwrap();
    store.trace(&[its("/x", file(1), file(2))]).unwrap();
    store.end_step(&unit, StepEnd::Committed).unwrap();
    store.begin_step(&unit).unwrap();
    assert_eq!(store.open_steps().unwrap(), [(unit, vec![])]);
}
