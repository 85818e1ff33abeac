//! Brings a model to the node, and refuses what is not signed, newer and whole.

pub mod accept;
pub mod anti_rollback;
pub mod attribute;
pub mod attribution;
mod blame;
pub mod content;
pub mod directory;
pub mod download;
pub mod fetch;
pub mod fetcher;
mod git;
pub mod manifest;
mod object;
pub mod openpgp;
pub mod publish;
pub mod refusal;
pub mod revision;
pub mod settings;
mod snapshot;
pub mod terms;

pub use directory::{ReadError, read_directory};
pub use refusal::{Refusal, RefusalKind};
pub use revision::Revision;
// Where these were before, until those who name them have changed.
pub use steadfast_download::sandbox;
pub mod signature {
    //! See `steadfast-trust`.

    pub use crate::openpgp::RunAs;
    pub use steadfast_trust::key_set::KeySet;
    pub use steadfast_trust::signature::Signer;
}
pub mod floor {
    //! See `anti_rollback`.

    pub use crate::anti_rollback::{
        Advance, AntiRollback as Floor, Candidate, Descent, Expected, Force, KeySetPoint, Point,
        judge,
    };
    use std::path::Path;
    pub use steadfast_trust::copies::CopiesError as FloorError;
    use steadfast_trust::copies::Loaded;

    pub fn load(
        folder: &Path,
        accepted_before: bool,
    ) -> Result<Loaded<crate::anti_rollback::AntiRollback>, FloorError> {
        Loaded::load(folder, accepted_before)
    }
}
