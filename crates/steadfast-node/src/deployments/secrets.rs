//! The values of a deployment's secrets. They are read when it is prepared and kept until no deployment needs them, so
//! that what it wrote can be repaired, and gone back to, as it was.

use crate::Context;
use std::collections::BTreeMap;
use steadfast_model::application::frozen::{Frozen, kept_name};
use steadfast_store::deployments;
use steadfast_system::secrets::{KeptSecrets, Read as _};
use steadfast_trust::text::chain;

/// The deployment with the values that its secrets have now. `others` are those of the component that are known: a
/// value that one of them was begun with is the same one, whatever key the node has by now. They are kept unless this is
/// only a look. What is to be told where one is not to be had.
pub(super) fn seal<'a>(
    frozen: Frozen,
    others: impl Iterator<Item = &'a Frozen> + Clone,
    is_forecast: bool,
    cx: &Context,
) -> Result<Frozen, Vec<String>> {
    let mut secrets = BTreeMap::new();
    let names = frozen.names_of_secrets();
    if names.is_empty() {
        return Ok(frozen);
    }
    let (host, kept) = (cx.host(), KeptSecrets::of(&cx.layout.state));
    for name in names {
        let told = |words: String| vec![format!("{} cannot be prepared", frozen.release), words];
        let value = host.secret(name).map_err(|it| told(chain(&it)))?;
        let mut known = others.clone().filter_map(|it| it.secrets.get(name));
        let same = known.find(|it| kept.get(name, it).is_ok_and(|it| it == value));
        let digest = match same {
            Some(digest) => digest.clone(),
            None => KeptSecrets::digest(&value, &host).map_err(|it| told(chain(&it)))?,
        };
        if !is_forecast {
            let put = deployments::put_secret(&cx.layout, &digest, &value);
            put.map_err(|it| told(format!("the secret {name} cannot be kept: {it}")))?;
        }
        secrets.insert(name.to_owned(), digest);
    }
    Ok(frozen.with_secrets(secrets))
}

/// What is to be told where the value of a secret is not there that a deployment was begun with.
pub(super) fn lost(frozen: &Frozen, cx: &Context) -> Option<String> {
    if frozen.secrets.is_empty() {
        return None;
    }
    let host = cx.host();
    let mut all = frozen.secrets.iter().map(|(name, digest)| kept_name(name, digest));
    all.find_map(|it| host.secret(&it).err().map(|it| chain(&it)))
}

/// What is told of a component that waits with the secrets that it has.
pub(super) fn newer(current: &Frozen, wanted: &Frozen) -> Option<String> {
    current.differs_by_secrets(wanted).then(|| "a newer secret waits".to_owned())
}
