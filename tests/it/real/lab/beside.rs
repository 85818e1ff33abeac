//! What stands beside a machine: a source out here that answers on the machine's own loopback, and an
//! authority that certifies it.

use super::installed::server;
use super::machine::Machine;
use crate::publish::Desk;
use crate::source_servers::server::{Server, identity};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::ServerConfig;
use std::path::Path;
use std::sync::Arc;

/// The name of the host that the source is on.
pub(crate) const HOST: &str = "source.example.test";

/// Whose word is taken for who a server is.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new(name: &str) -> Authority {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Authority(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// A certificate for this name, good until the end of this year.
    pub(crate) fn certifies(&self, name: &str, year: i32) -> Arc<ServerConfig> {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(year, 12, 31);
        identity(&params.signed_by(&key, &self.0).unwrap(), &key)
    }

    /// A server with the name of the host, on the machine's port for https.
    pub(crate) fn server(
        &self,
        machine: &Machine,
        answer: impl FnMut(
            &crate::source_servers::server::Request,
            &mut dyn crate::source_servers::server::Stream,
        ) + Send
        + 'static,
    ) -> Server {
        let tls = self.certifies(HOST, 4000);
        let server =
            Server::deaf(format!("https://{HOST}"), Some(tls), String::new(), Box::new(answer));
        server.listen(machine.listen(443));
        machine.write("/etc/steadfast/ca.pem", self.0.pem());
        server
    }
}

/// Keys, and a model in which this machine is to say something. The first key may sign.
pub(crate) fn desk(machine: &Machine, keys: &[&str]) -> Desk {
    let desk = Desk::new(keys);
    let environment =
        format!("environment: test\nnodes:\n  {}: {{ servers: [web] }}\n", Machine::NODE);
    std::fs::write(desk.model.path().join("environments/test.yaml"), environment).unwrap();
    desk.allow(&keys[..1]);
    push(machine, &desk.path("allowed_signers"));
    push(machine, &desk.path(&format!("{}.pub", keys[0])));
    machine.sh(&format!("echo 127.0.0.1 {HOST} >>/etc/hosts"));
    desk
}

/// A file, into the directory of the settings.
pub(crate) fn push(machine: &Machine, file: &Path) {
    let name = file.file_name().unwrap().to_str().unwrap();
    machine.push(file, &format!("/etc/steadfast/{name}"), 0o600);
}

/// What `/etc/motd` is to say from now on.
pub(crate) fn says(desk: &Desk, text: &str) {
    std::fs::write(desk.model.path().join("servers/web.yaml"), server(text)).unwrap();
}

/// The same, as a commit.
pub(crate) fn commit(desk: &Desk, text: &str, key: &str) -> String {
    says(desk, text);
    desk.commit(Some(key))
}
