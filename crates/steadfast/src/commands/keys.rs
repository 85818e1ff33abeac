//! `steadfast keys`: the keys that sign snapshots.

use super::publish::failed;
use crate::exit::{Exit, Failure, Outcome};
use crate::ui::Ui;
use clap::{Args, Subcommand};
use std::path::PathBuf;
use steadfast_source::publish::{
    PublishError, SigningError, add_signature, create_key, current, lacks, newest_set, read_key,
    rotate,
};
use steadfast_trust::key_set::{KeySet, key_set};

/// Create, show and rotate the keys that sign snapshots
#[derive(Debug, Args)]
pub(crate) struct KeysArgs {
    #[command(subcommand)]
    command: KeysCommand,
}

#[derive(Debug, Subcommand)]
enum KeysCommand {
    Create(CreateArgs),
    Show(ShowArgs),
    Sign(SignArgs),
    Rotate(RotateArgs),
}

/// Create an ed25519 key pair, FILE and FILE.pub, and print the public key
///
/// The private key is not encrypted; its file is readable by its owner alone. Nodes need only the public key.
#[derive(Debug, Args)]
struct CreateArgs {
    /// The file for the private key; it must not exist yet
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// The signer's name, as nodes show it [default: the name of the file]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
}

/// Print the public key of a private key
#[derive(Debug, Args)]
struct ShowArgs {
    /// The private key
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// Add a signature to a published snapshot
#[derive(Debug, Args)]
struct SignArgs {
    /// The directory that 'steadfast publish' wrote
    #[arg(value_name = "DIR")]
    folder: PathBuf,

    /// A private key to sign with (repeatable)
    #[arg(long, value_name = "FILE", required = true)]
    key: Vec<PathBuf>,
}

/// Replace the keys that nodes trust for a published snapshot
///
/// Writes the next numbered set of keys, signed with keys of the current set. Nodes start from the keys in
/// their settings and follow the numbered sets forward, never back. Where different people hold the current
/// keys, each runs this command with their own key until enough have signed. Then publish again, signed with
/// the new keys; until that happens, nodes stay with the old ones.
#[derive(Debug, Args)]
struct RotateArgs {
    /// The directory that 'steadfast publish' wrote
    #[arg(value_name = "DIR")]
    folder: PathBuf,

    /// A private key of the current set to sign with (repeatable)
    #[arg(long, value_name = "FILE", required = true)]
    key: Vec<PathBuf>,

    /// Public keys of the new set (repeatable)
    #[arg(long, value_name = "FILE", required = true)]
    to: Vec<PathBuf>,

    /// How many of the new keys must sign from now on
    #[arg(long, value_name = "N", default_value_t = 1)]
    threshold: usize,

    /// The current public keys: those in the settings of nodes (repeatable) [default: the last numbered set]
    #[arg(long, value_name = "FILE")]
    from: Vec<PathBuf>,

    /// How many of the current keys must sign
    #[arg(long, value_name = "N", default_value_t = 1, requires = "from")]
    from_threshold: usize,
}

pub(crate) fn run(args: &KeysArgs, ui: &Ui) -> Outcome {
    match &args.command {
        KeysCommand::Create(args) => create(args, ui),
        KeysCommand::Show(ShowArgs { file }) => {
            let key = read_key(file).map_err(|it| failed(it.into()))?;
            let text = key.public_key().to_openssh().map_err(|it| {
                let why = it.to_string();
                failed(SigningError::Key { path: file.clone(), why }.into())
            })?;
            ui.line(&text);
            Ok(Exit::Fine)
        }
        KeysCommand::Sign(args) => sign(args, ui),
        KeysCommand::Rotate(args) => replace(args, ui),
    }
}

fn create(args: &CreateArgs, ui: &Ui) -> Outcome {
    let name = match &args.name {
        Some(name) => name.clone(),
        None => args.file.file_name().unwrap_or_default().to_string_lossy().into_owned(),
    };
    if name.is_empty() || name.chars().any(char::is_control) {
        return Err(Failure::usage("the name of a key is one line"));
    }
    let public = create_key(&args.file, &name).map_err(|it| failed(it.into()))?;
    ui.line(&public);
    Ok(Exit::Fine)
}

fn sign(args: &SignArgs, ui: &Ui) -> Outcome {
    for path in &args.key {
        let key = read_key(path).map_err(|it| failed(it.into()))?;
        let sequence = add_signature(&args.folder, &key).map_err(failed)?;
        ui.line(&format!("signed snapshot {sequence} with {}", path.display()));
    }
    if let Some(refusal) = lacks(&args.folder).map_err(failed)? {
        ui.warn(&format!("nodes do not accept it yet: {refusal}"));
    }
    Ok(Exit::Fine)
}

fn replace(args: &RotateArgs, ui: &Ui) -> Outcome {
    let Some(manifest) = current(&args.folder).map_err(failed)? else {
        return Err(failed(PublishError::Nothing { folder: args.folder.clone() }));
    };
    let read = |files: &[PathBuf], threshold: usize| -> Result<KeySet, Failure> {
        key_set(files, &[], threshold).map_err(|it| failed(it.into()))
    };
    let newest = newest_set(&args.folder).map_err(failed)?;
    let old = match newest {
        Some((_, set)) if args.from.is_empty() => set,
        Some((number, set)) => {
            if !set.same(&read(&args.from, args.from_threshold)?) {
                let message = format!("the keys of --from differ from key set {number}");
                return Err(Failure::usage(message).help("leave it out: the set is known"));
            }
            set
        }
        None if args.from.is_empty() => {
            let message = "keys were never rotated here, so the current set is not known";
            return Err(Failure::usage(message).help("name what nodes trust: --from FILE"));
        }
        None => read(&args.from, args.from_threshold)?,
    };
    let new = read(&args.to, args.threshold)?;
    let mut signers = vec![];
    for path in &args.key {
        signers.push(read_key(path).map_err(|it| failed(it.into()))?);
    }
    let rotated = rotate(&args.folder, &manifest.model, &old, new, &signers).map_err(failed)?;
    let number = rotated.number;
    if rotated.missing > 0 {
        ui.line(&format!(
            "key set {number} is not valid yet: signatures still missing: {}",
            rotated.missing
        ));
    } else {
        ui.line(&format!("wrote key set {number}: now publish again, signed with the new keys"));
    }
    Ok(Exit::Fine)
}
