//! Whom something is believed: public keys and sets of them, signatures, files that carry their own
//! signatures, and what makes the words of strangers fit to be shown. It knows neither models nor networks,
//! opens nothing but key files and starts no program.

pub mod allowed_signers;
pub mod envelope;
pub mod files;
pub mod key_set;
pub mod openpgp;
pub mod signature;
pub mod signing;
pub mod text;
