//! A real sshd of the tests' own: its own configuration, host key and port, and nothing of the machine's.

use crate::require::skip;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

const SSHD: &str = "/usr/sbin/sshd";

pub(crate) struct Sshd {
    process: Child,
    pub user: String,
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _gone = self.process.kill();
        let _reaped = self.process.wait();
    }
}

impl Sshd {
    /// Starts it on a port of the loopback with the private key `host` of the directory, to let in whom the
    /// directory's `authorized_keys` name. `through` is a program, with arguments, that starts it elsewhere.
    /// None where there is none, or where this user may not start it.
    pub(crate) fn start(folder: &Path, port: u16, through: &[&str]) -> Option<Sshd> {
        if !Path::new(SSHD).exists() {
            skip(&format!("needs {SSHD} (tests/run installs it)"));
            return None;
        }
        let user = nix::unistd::User::from_uid(nix::unistd::Uid::effective()).unwrap().unwrap();
        let at = |name: &str| folder.join(name).display().to_string();
        let config = format!(
            "ListenAddress 127.0.0.1\nPort {port}\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\n\
             UsePAM no\nStrictModes no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n\
             PermitRootLogin prohibit-password\nPrintMotd no\nX11Forwarding no\nAcceptEnv GIT_PROTOCOL\n",
            at("host"),
            at("authorized_keys")
        );
        std::fs::write(folder.join("sshd_config"), config).unwrap();
        let mut script = format!("exec {SSHD} -D -e -f '{}'", at("sshd_config"));
        let mut words = through.to_vec();
        // As root it wants an empty directory in /run. It gets one in a mount namespace of its own.
        if nix::unistd::Uid::effective().is_root() {
            words.extend(["unshare", "--mount"]);
            script = format!("mount -t tmpfs none /run && mkdir /run/sshd && {script}");
        }
        words.extend(["sh", "-c", &script]);
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).stdin(Stdio::null()).stderr(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let mut said = BufReader::new(process.stderr.take().unwrap());
        let mut line = String::new();
        let mut words = String::new();
        while said.read_line(&mut line).unwrap() > 0 {
            if line.contains("Server listening on") {
                // Whatever it says later must not block it.
                std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
                return Some(Sshd { process, user: user.name });
            }
            words.push_str(&line);
            line.clear();
        }
        eprintln!("sshd did not start: {words}");
        let _reaped = process.wait();
        None
    }
}
