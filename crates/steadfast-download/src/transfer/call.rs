//! One request that brings nothing: a load balancer elsewhere is told that a node gets no traffic any more, or gets it
//! again. What is answered is not looked at beyond its status; where it leads is not followed.

use super::place::{parse, settings, shown};
use super::web::{Web, header};
use super::{Stop, Task};
use crate::error::{DownloadError, DownloadErrorKind};
use crate::https::failed;
use reqwest::{Method, Response, Url};

pub(super) fn call(
    url: &str,
    method: &str,
    headers: &[(String, String)],
    task: &Task,
) -> Result<(), Stop> {
    let method = Method::from_bytes(method.as_bytes())
        .map_err(|_| settings(format!("`{method}` is not a method")))?;
    let url = parse(url)?;
    let web = Web::new(task)?;
    let response = web.send(method.clone(), &url, headers)?;
    if response.status().is_success() {
        return Ok(());
    }
    let words = format!("{method} {}: the server answered {}", shown(&url), response.status());
    Err(DownloadError::new(DownloadErrorKind::Unreachable, words).into())
}

impl Web<'_> {
    /// To this URL and to no other, with these headers.
    fn send(
        &self,
        method: Method,
        url: &Url,
        headers: &[(String, String)],
    ) -> Result<Response, DownloadError> {
        let mut request = self.plain.request(method, url.clone());
        for (name, value) in headers {
            let (name, value) = header(name, value)?;
            request = request.header(name, value);
        }
        self.wait(request.send(), url)?.map_err(|err| failed(&shown(url), &err))
    }
}
