//! Whom to trust: public keys and sets of them, signatures, files that carry their own
//! signatures, values in two copies, and what makes the words of strangers fit to be shown. It knows neither models nor networks,
//! opens nothing but files of keys and its own copies and starts no program.

pub mod allowed_signers;
pub mod copies;
pub mod envelope;
pub mod files;
pub mod key_set;
pub mod openpgp;
pub mod signature;
pub mod signing;
pub mod text;
