//! A model in a git repository. The fetching side starts `git` and hands over raw objects; the accepting
//! side never does, and believes nothing that does not follow from what is signed.

mod accept;
mod address;
pub(crate) mod blame;
mod checkout;
mod config;
mod download;
mod export;
mod history;
mod read;
mod repository;

pub(crate) use accept::accept;
pub(crate) use checkout::checkout;
pub(crate) use download::{download, download_local};
