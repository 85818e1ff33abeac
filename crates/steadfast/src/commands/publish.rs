//! `steadfast publish`: a model as a signed snapshot in a directory that any web server can serve.

use crate::exit::{Exit, Failure, Outcome};
use crate::render::time::utc;
use crate::ui::Ui;
use anyhow::Error;
use clap::Args;
use jiff::{SignedDuration, Timestamp};
use std::path::{Path, PathBuf};
use steadfast_model::lower::parse_duration;
use steadfast_node::counted;
use steadfast_node::model::{self, Checked, Files, Loaded, every_node};
use steadfast_source::attribute::attribute_local;
use steadfast_source::attribution::Attribution;
use steadfast_source::directory::{is_folder, is_inside};
use steadfast_source::fetch::checkout;
use steadfast_source::publish::{
    Publication, PublishError, Published, SigningError, lacks, publish, read_key,
};

/// Publish a model as a signed snapshot for a web server
///
/// The model is checked first; a model with errors is not published. Do not delete the directory: the next
/// sequence number is read from it. Publishing the same content again renews the snapshot under the same
/// number, with a later expiry. The previous archive is kept, older ones are deleted. Where several people
/// must sign, each runs 'steadfast keys sign', best before the directory is copied to the web server.
#[derive(Debug, Args)]
pub(crate) struct PublishArgs {
    /// The model's directory
    #[arg(value_name = "MODEL")]
    model: PathBuf,

    /// Publish this git revision instead of the files in the directory
    #[arg(long, value_name = "REVISION")]
    revision: Option<String>,

    /// Leave out authors: nodes then cannot say who wrote a line
    #[arg(long)]
    anonymous: bool,

    /// The directory to write to; a web server serves it as it is
    #[arg(long, value_name = "DIR")]
    output: PathBuf,

    /// A private ed25519 key to sign with (repeatable)
    #[arg(long, value_name = "FILE", required = true)]
    key: Vec<PathBuf>,

    /// The channel: nodes accept only snapshots of their own, which is named as their environment
    /// [default: the model's only environment]
    #[arg(long, value_name = "NAME")]
    channel: Option<String>,

    /// How long nodes accept it, unless it is published again
    #[arg(long, value_name = "TIME", default_value = "30d", value_parser = time)]
    expires: SignedDuration,
}

fn time(text: &str) -> Result<SignedDuration, String> {
    let refuse = || "a snapshot is good for some time and less than a thousand years".to_owned();
    let time = SignedDuration::try_from(parse_duration(text)?).map_err(|_| refuse())?;
    let most = SignedDuration::from_hours(1000 * 365 * 24);
    if time.is_zero() || time > most { Err(refuse()) } else { Ok(time) }
}

pub(crate) fn run(args: &PublishArgs, ui: &Ui) -> Outcome {
    if args.revision.is_none() && is_inside(&args.output, &args.model) {
        let message = "the output would be part of the model";
        return Err(Failure::usage(message).help("write it elsewhere: --output DIR"));
    }
    // A key that cannot be read is told before a long check.
    let signers = args.key.iter().map(|it| read_key(it)).collect::<Result<Vec<_>, _>>();
    let signers = signers.map_err(|it| failed(it.into()))?;

    // The model: nothing is published of one that a node would not take.
    let (files, commit) = contents(args)?;
    let mut loaded = model::parse(files);
    let checked = every_node(&mut loaded);
    loaded.sound_or("nothing was published")?;
    if checked.nodes == 0 {
        return Err(Failure::usage("no environment of the model names any node"));
    }
    let Some(name) = loaded.model.name.as_ref().map(|it| it.value.to_string()) else {
        return Err(Failure::new(Exit::BadModel, Error::msg("the model has no name")));
    };
    let channel = channel(&loaded, args.channel.as_deref())?;
    warn_of_strange_channel(&loaded, &channel, ui);
    warn_of_private_keys(&loaded, ui);

    let attribution = match &commit {
        Some(commit) if !args.anonymous => attribution(args, commit, &loaded, ui),
        Some(_) | None => None,
    };
    let publication = Publication {
        model: &name,
        channel: &channel,
        sources: &loaded.sources,
        commit,
        attribution: attribution.as_ref(),
        now: Timestamp::now(),
        expires: args.expires,
    };
    let published = publish(&args.output, &publication, &signers).map_err(failed)?;
    ui.line(&told(&published, &publication, checked));
    if let Some(refusal) = lacks(&args.output).map_err(failed)? {
        ui.warn(&format!("nodes do not accept it yet: {refusal}"));
    }
    Ok(Exit::Fine)
}

/// What is published: the files as they are now, or those of a commit, with its name.
fn contents(args: &PublishArgs) -> Result<(Files, Option<String>), Failure> {
    match &args.revision {
        None => Ok((model::read(&args.model)?, None)),
        Some(revision) => {
            let (commit, files) = at(&args.model, revision)?;
            Ok((files, Some(commit)))
        }
    }
}

fn warn_of_strange_channel(loaded: &Loaded, channel: &str, ui: &Ui) {
    if !loaded.model.environments.contains_key(channel) {
        ui.warn(&format!(
            "the model has no environment `{channel}`: nodes accept this channel only if their settings name it"
        ));
    }
}

/// A snapshot is served to whoever asks for it.
fn warn_of_private_keys(loaded: &Loaded, ui: &Ui) {
    for (_, source) in loaded.sources.iter() {
        let text = source.text().unwrap_or_default();
        if text.contains("-----BEGIN ") && text.contains(" PRIVATE KEY-----") {
            let path = &source.path;
            ui.warn(&format!("{path} is a private key: whoever reads the snapshot has it"));
        }
    }
}

fn told(published: &Published, publication: &Publication<'_>, checked: Checked) -> String {
    let how = if published.renewed { "renewed" } else { "published" };
    format!(
        "{how} snapshot {} of {} for {}: {}, {}, valid until {}",
        published.sequence,
        publication.model,
        publication.channel,
        counted(checked.nodes, "node"),
        counted(checked.promises, "promise"),
        utc(published.expires),
    )
}

/// Who wrote which line of a revision. It is published without where that cannot be found out.
fn attribution(args: &PublishArgs, commit: &str, loaded: &Loaded, ui: &Ui) -> Option<Attribution> {
    let cache = super::verify::scratch().ok()?;
    let files = loaded.sources.iter().map(|(_, it)| &*it.path);
    let files = files.filter(|it| !it.starts_with("std/"));
    match attribute_local(&args.model, commit, files, cache.path()) {
        Ok(attribution) => {
            if attribution.is_cut_off() {
                ui.warn(
                    "the authors of some lines are not known: is the clone shallow? \
                     (git fetch --unshallow)",
                );
            }
            Some(attribution)
        }
        Err(error) => {
            ui.warn(&format!("the snapshot is published without authors: {error}"));
            None
        }
    }
}

fn at(model: &Path, revision: &str) -> Result<(String, Files), Failure> {
    if !is_folder(model) {
        return Err(Failure::usage(format!("there is no directory {}", model.display())));
    }
    let cache = super::verify::scratch()?;
    let (commit, sources) =
        checkout(model, revision, cache.path()).map_err(super::verify::unread)?;
    let files = model::complete(sources, Some(commit.clone()));
    Ok((commit, files))
}

fn channel(loaded: &Loaded, asked: Option<&str>) -> Result<String, Failure> {
    if let Some(asked) = asked {
        return Ok(asked.to_owned());
    }
    let names: Vec<&str> = loaded.model.environments.keys().map(|it| &**it).collect();
    match names[..] {
        [one] => Ok(one.to_owned()),
        _ => {
            let help = format!("say which channel: --channel NAME, one of {}", names.join(", "));
            Err(Failure::usage("the model has several environments").help(help))
        }
    }
}

/// How a failure to publish, sign or rotate ends.
pub(super) fn failed(error: PublishError) -> Failure {
    let exit = match &error {
        PublishError::Locked { .. } => Exit::Locked,
        PublishError::Empty | PublishError::Path { .. } | PublishError::KeyInside { .. } => {
            Exit::BadModel
        }
        PublishError::OldKeys(_) => Exit::Refused,
        PublishError::Signing(SigningError::Sign { .. }) => Exit::Bug,
        PublishError::Write { .. }
        | PublishError::Previous { .. }
        | PublishError::OtherModel { .. }
        | PublishError::Nothing { .. }
        | PublishError::Signing(
            SigningError::Key { .. } | SigningError::Write { .. } | SigningError::Read(_),
        )
        | PublishError::Keys(_)
        | PublishError::OtherRotation { .. }
        | PublishError::Read(_) => Exit::Usage,
    };
    Failure::new(exit, error)
}
