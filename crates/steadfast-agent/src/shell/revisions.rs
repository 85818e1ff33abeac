//! Who made the revisions that a status names: it stands in the files that the fetching child keeps beside
//! their contents, and the state machine has no need of it.

use crate::api::v1::Status;
use steadfast_node::adopted;
use steadfast_node::revision;
use steadfast_store::Layout;

/// Names author and subject of the adopted and of the newer revisions, where they are known.
pub(super) fn name(status: &mut Status, layout: &Layout) {
    let newer = status.newer.iter_mut().chain(&mut status.waiting).map(|it| &mut it.revision);
    for it in status.adopted.as_mut().into_iter().chain(newer) {
        let known = adopted::record(layout, &revision::Revision::new(&*it.revision)).ok();
        (it.author, it.subject) = known.map_or((None, None), |it| (it.author, it.subject));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::v1::Revision;
    use crate::status::example;
    use steadfast_store::state_files;

    #[test]
    fn what_is_known_is_told_and_no_name_leads_elsewhere() {
        let folder = tempfile::tempdir().unwrap();
        let mut status = Status::from(&example());
        let adopted = status.adopted.clone().unwrap().revision;
        let layout = Layout::below(folder.path());
        let path = layout.revisions().join(format!("{adopted}.json"));
        let text = r#"{"format":1,"content":"c1","source":"git x","author":"Ann <ann@x>",
            "subject":"a change"}"#;
        state_files::write(&path, text.as_bytes()).unwrap();
        state_files::write(&layout.revisions().join("../other.json"), text.as_bytes()).unwrap();
        name(&mut status, &layout);
        let told = |it: Option<&Revision>| it.and_then(|it| it.author.clone());
        assert_eq!(told(status.adopted.as_ref()).as_deref(), Some("Ann <ann@x>"));
        assert_eq!(told(status.newer.as_ref().map(|it| &it.revision)), None);
        for bad in ["../other", "", "/etc/passwd"] {
            if let Some(adopted) = &mut status.adopted {
                adopted.revision = bad.to_owned();
            }
            name(&mut status, &layout);
            assert_eq!(told(status.adopted.as_ref()), None, "{bad}");
        }
        // What is damaged is not known.
        state_files::write(&path, b"{").unwrap();
        if let Some(it) = &mut status.adopted {
            it.revision = adopted;
        }
        name(&mut status, &layout);
        assert_eq!(told(status.adopted.as_ref()), None);
    }
}
