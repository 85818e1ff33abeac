//! The names that these had before, for those who have not changed them yet.

pub use crate::accept::accept;
pub use crate::attribute::{attribute, attribute_local, attribute_work_tree};
pub use crate::download::{download as bring, download_and_tell as bring_and_tell};
pub use crate::fetch::{checkout, fetch, fetch_local};
pub use crate::terms::{
    Credentials as Material, Download as Brought, Fetched, Known, Origin, Terms, from_line, to_line,
};
pub use steadfast_download::https::Validator;
pub use steadfast_trust::key_set::key_set;

/// A source, as a status names it.
pub fn shown(source: &crate::settings::Source) -> String {
    source.to_string()
}
