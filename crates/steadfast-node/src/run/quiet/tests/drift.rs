//! A few of the settled files were changed: the run comes to what a whole one comes to. That it knew only these shows in
//! that it has not written down what it has read.

use super::trees::pass;
use super::*;
use std::collections::BTreeMap;
use steadfast_resources::Facet;

impl World {
    fn looks(&self) -> Vec<u8> {
        fs::read(self.cx.layout.cache.join("looks")).unwrap()
    }

    /// Whether a run knows a few alone, and how many it repairs. Then nothing is left.
    fn is_few(&self, repaired: usize) -> bool {
        let before = self.looks();
        let summary = self.run();
        assert_eq!((summary.repaired, summary.kept), (repaired, self.promises - repaired));
        let is_few = self.looks() == before;
        assert_eq!(self.run().kept, self.promises);
        assert!(self.is_quiet());
        is_few
    }

    fn made(&self) -> BTreeMap<Facet, String> {
        let made = Store::open(&self.cx.layout.database()).unwrap().made().unwrap();
        made.into_iter().map(|it| (it.facet.clone(), format!("{it:?}"))).collect()
    }

    fn contents(&self) -> Vec<String> {
        (0..FILES).map(|at| fs::read_to_string(self.file(at)).unwrap()).collect()
    }
}

#[test]
fn files_that_were_changed_or_removed_are_repaired_alone() {
    let Some(world) = World::settled() else { return };
    let (contents, made) = (world.contents(), world.made());
    // The first of each directory stands for the others.
    for which in [&[0][..], &[1], &[0, 1, 2], &[7, 21, 40], &[FILES - 1]] {
        for at in which {
            fs::write(world.file(*at), "somebody was here").unwrap();
        }
        assert!(world.is_few(which.len()), "{which:?}");
        assert_eq!(world.contents(), contents);
        for at in which {
            fs::remove_file(world.file(*at)).unwrap();
        }
        assert!(world.is_few(which.len()), "{which:?}");
        assert_eq!(world.contents(), contents);
    }
    assert_eq!(world.made().keys().collect::<Vec<_>>(), made.keys().collect::<Vec<_>>());
}

#[test]
fn where_anything_else_differs_or_much_does_everything_is_looked_at() {
    let Some(world) = World::settled() else { return };
    let change = |at: usize| fs::write(world.file(at), "somebody was here").unwrap();
    change(4);
    fs::set_permissions(world.path("data/a"), PermissionsExt::from_mode(0o700)).unwrap();
    assert!(!world.is_few(2), "their directory too");
    (0..FILES / 2).for_each(change);
    assert!(!world.is_few(FILES / 2), "half of them");
    fs::rename(world.file(4), world.path("elsewhere")).unwrap();
    std::os::unix::fs::symlink(world.path("elsewhere"), world.file(4)).unwrap();
    assert!(!world.is_few(1), "a link is in the place of one");
}

#[test]
fn what_was_changed_and_is_as_promised_all_the_same_is_settled_anew() {
    let Some(world) = World::settled() else { return };
    let mode = fs::metadata(world.file(4)).unwrap().permissions().mode();
    fs::set_permissions(world.file(4), PermissionsExt::from_mode(mode ^ 0o100)).unwrap();
    pass(&world.file(4));
    assert_eq!(world.run().kept, FILES + 1);
    assert!(world.is_quiet());
}

#[test]
fn what_was_remembered_of_the_model_may_be_gone() {
    let Some(world) = World::settled() else { return };
    for name in ["resolved", "contents"] {
        fs::write(world.file(4), "somebody was here").unwrap();
        fs::remove_file(world.cx.layout.cache.join(name)).unwrap();
        assert_eq!(world.run().repaired, 1, "{name}");
        for _ in 0..2 {
            assert_eq!(world.run().kept, FILES + 1);
        }
        assert!(world.is_quiet());
    }
}
