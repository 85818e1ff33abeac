//! From a registry of container images: a manifest by its digest, and the one layer that it names. What is handed over
//! first is the manifest, as a document: whoever reads it knows by its digest that it is the right one,
//! and by what it says which bytes have to follow.

use super::place::{parse, registry_url, shown};
use super::web::{Web, answered, get_bytes};
use super::{Sink, Stop, Task};
use crate::error::{DownloadError, DownloadErrorKind};
use crate::records::{Kind, PORTION, Record};
use reqwest::header::{ACCEPT, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use reqwest::{Response, StatusCode};
use serde::Deserialize;
use std::io::Write;
use steadfast_trust::text::unhex;

const MANIFESTS: &str = "application/vnd.oci.image.manifest.v1+json, \
                         application/vnd.docker.distribution.manifest.v2+json";
/// A token is a signed text about one name.
const MAX_TOKEN: usize = 64 * 1024;

/// The layer that a manifest names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    pub sha256: [u8; 32],
    pub size: u64,
}

#[derive(Deserialize)]
struct Manifest {
    layers: Option<Vec<Descriptor>>,
}

#[derive(Deserialize)]
struct Descriptor {
    digest: String,
    size: u64,
}

/// The one layer of a manifest; what it has instead where it has not one.
pub fn layer(manifest: &[u8]) -> Result<Layer, String> {
    let manifest: Manifest = serde_json::from_slice(manifest)
        .map_err(|err| format!("its manifest cannot be read: {err}"))?;
    let Some(layers) = manifest.layers else {
        return Err("it is an index of several images; its digest has to be that of one".to_owned());
    };
    let [layer] = &*layers else {
        return Err(format!("it has {} layers; an artifact has one", layers.len()));
    };
    let digest = layer.digest.strip_prefix("sha256:").and_then(unhex);
    let sha256 = digest.ok_or("its layer has no digest of the kind sha256")?;
    Ok(Layer { sha256, size: layer.size })
}

pub(super) fn get(
    name: &str,
    sha256: &str,
    task: &Task,
    sink: &mut Sink<impl Write>,
) -> Result<(), Stop> {
    let web = Web::new(task)?;
    let (registry, name) = name.split_once('/').unwrap_or((name, ""));
    let base = format!("{}/v2/{name}", registry_url(registry));
    let url = format!("{base}/manifests/sha256:{sha256}");
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static(MANIFESTS));
    let mut response = web.ask(&url, &headers, None)?;
    let mut bearer = None;
    if response.status() == StatusCode::UNAUTHORIZED {
        bearer = token(&web, &response)?;
        response = web.ask(&url, &headers, bearer.as_ref())?;
    }
    let manifest = body(&web, response, PORTION)?;
    let document = Record { content: &manifest, ..Record::new(Kind::Document) };
    sink.records.add(&document).map_err(Stop::Output)?;
    let refused = |words| DownloadError::new(DownloadErrorKind::Refused, words);
    let layer = layer(&manifest).map_err(refused)?;
    let blob = steadfast_trust::text::hex(&layer.sha256);
    get_bytes(&web, &format!("{base}/blobs/sha256:{blob}"), bearer.as_ref(), sink)
}

fn broken(words: String) -> DownloadError {
    DownloadError::new(DownloadErrorKind::Broken, words)
}

/// All of an answer that is a small one.
fn body(web: &Web<'_>, mut response: Response, most: usize) -> Result<Vec<u8>, DownloadError> {
    let url = response.url().clone();
    if response.status() != StatusCode::OK {
        return Err(answered(&response));
    }
    let mut bytes = vec![];
    loop {
        let chunk = web.wait(response.chunk(), &url)?;
        let chunk = chunk.map_err(|err| crate::https::failed(&shown(&url), &err))?;
        let Some(chunk) = chunk else { return Ok(bytes) };
        if bytes.len() + chunk.len() > most {
            let words = format!("{} has more than {most} bytes", shown(&url));
            return Err(DownloadError::new(DownloadErrorKind::TooLarge, words));
        }
        bytes.extend_from_slice(&chunk);
    }
}

#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
}

/// What the registry wants to be shown, from where it says that it is to be had.
fn token(web: &Web<'_>, response: &Response) -> Result<Option<HeaderValue>, DownloadError> {
    let challenge = response.headers().get(WWW_AUTHENTICATE).and_then(|it| it.to_str().ok());
    let Some(challenge) = challenge.and_then(bearer_challenge) else { return Ok(None) };
    let asked = response.url();
    let mut url = parse(&challenge.realm)?;
    if asked.scheme() == "https" && url.scheme() != "https" {
        return Err(broken(format!("get {}: it asks for a token from http", shown(asked))));
    }
    for (key, value) in [("service", &challenge.service), ("scope", &challenge.scope)] {
        if let Some(value) = value {
            url.query_pairs_mut().append_pair(key, value);
        }
    }
    let response = web.ask(url.as_str(), &HeaderMap::new(), None)?;
    let body = body(web, response, MAX_TOKEN)?;
    let none = || broken(format!("get {}: there is no token in the answer", shown(&url)));
    let token: Token = serde_json::from_slice(&body).map_err(|_| none())?;
    let token = token.token.or(token.access_token).ok_or_else(none)?;
    let mut value = HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| none())?;
    value.set_sensitive(true);
    Ok(Some(value))
}

#[derive(Debug, PartialEq, Eq)]
struct Challenge {
    realm: String,
    service: Option<String>,
    scope: Option<String>,
}

/// `Bearer realm="https://…",service="…",scope="…"`
fn bearer_challenge(text: &str) -> Option<Challenge> {
    let (scheme, rest) = text.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    let field = |key: &str| {
        let at = rest.find(&format!("{key}=\""))?;
        let value = rest.get(at + key.len() + 2..)?;
        Some(value.split('"').next()?.to_owned())
    };
    Some(Challenge { realm: field("realm")?, service: field("service"), scope: field("scope") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_says_where_a_token_is_to_be_had() {
        let text = r#"Bearer realm="https://auth.example/token",service="r",scope="repository:a/b:pull,push""#;
        let challenge = Challenge {
            realm: "https://auth.example/token".into(),
            service: Some("r".into()),
            scope: Some("repository:a/b:pull,push".into()),
        };
        assert_eq!(bearer_challenge(text), Some(challenge));
        assert_eq!(bearer_challenge(r#"Basic realm="x""#), None);
        assert_eq!(bearer_challenge("Bearer"), None);
    }

    #[test]
    fn an_artifact_is_a_manifest_of_one_layer() {
        let digest = "a".repeat(64);
        let one = format!(r#"{{"layers":[{{"digest":"sha256:{digest}","size":7}}]}}"#);
        assert_eq!(layer(one.as_bytes()).unwrap(), Layer { sha256: [0xaa; 32], size: 7 });
        for (bad, why) in [
            (r#"{"layers":[]}"#, "0 layers"),
            (r#"{"manifests":[]}"#, "index"),
            (r#"{"layers":[{"digest":"sha512:aa","size":7}]}"#, "sha256"),
            ("{", "cannot be read"),
        ] {
            assert!(layer(bad.as_bytes()).unwrap_err().contains(why), "{bad}");
        }
    }
}
