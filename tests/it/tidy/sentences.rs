//! No code reads our own sentences: they are for people, and change. What a program may want to tell apart is
//! a type (decision 0015).

use super::measure::House;

/// Texts of several words that production code looks for all the same: in which file, and whose words they are.
/// Words of ours are here only where they begin a file or a row that this program itself reads again.
const LOOKED_FOR: &[(&str, &str, &str)] = &[
    ("agent/src/memory.rs", "steadfast-memory ", "our own file begins with it"),
    ("download/src/https.rs", "client error (", "hyper"),
    ("download/src/process.rs", "File too large", "the C library"),
    ("model/src/expression.rs", "recursion limit exceeded", "minijinja"),
    ("model/src/expression.rs", "` is undefined", "minijinja"),
    ("source/src/git/download.rs", "certificate verification failed", "git"),
    ("source/src/git/repository.rs", "mismatched algorithms", "git"),
    ("source/src/git/repository.rs", "dubious ownership", "git"),
    ("source/src/revision.rs", "ref: ", "git, in a file HEAD"),
    ("store/src/format/v3.rs", "unit ", "our own row of a scope"),
    ("store/src/store.rs", "no such table", "SQLite"),
    ("system/src/accounts/host/tools.rs", "already exists", "useradd"),
    ("system/src/accounts/host/tools.rs", "try again later", "useradd"),
    ("system/src/packages/apt.rs", "release ", "apt-cache"),
    ("system/src/packages/apt.rs", "Candidate: ", "apt-cache"),
    ("system/src/packages/apt.rs", "dpkg: error", "dpkg"),
    ("system/src/packages/apt.rs", "dpkg: error processing ", "dpkg"),
    ("system/src/packages/apt.rs", "dependency problems", "dpkg"),
    ("system/src/packages/apt.rs", "E: ", "apt-get"),
    ("system/src/packages/apt.rs", "key ", "our own file of what apt said"),
    ("system/src/packages/apt.rs", "suites ", "our own file of what apt said"),
    ("system/src/packages/run.rs", "Failed to ", "systemd-run"),
    ("system/src/packages/status.rs", " obsolete", "dpkg, in its status file"),
    ("system/src/packages/status.rs", "install ok installed", "dpkg, in its status file"),
    ("system/src/packages/transact.rs", "Could not get lock", "apt-get"),
    ("system/src/packages/transact.rs", "Unable to lock", "apt-get"),
    (
        "trust/src/envelope.rs",
        "-----BEGIN SSH SIGNATURE-----",
        "the form of a signature of OpenSSH",
    ),
    ("trust/src/envelope.rs", "-----END SSH SIGNATURE-----", "the form of a signature of OpenSSH"),
    ("trust/src/openpgp.rs", "[GNUPG:] ", "gpgv"),
    ("/src/commands/publish.rs", "-----BEGIN ", "the form of a private key"),
    ("/src/commands/publish.rs", " PRIVATE KEY-----", "the form of a private key"),
];

#[test]
fn no_code_reads_our_own_sentences() {
    let house = House::measure(&super::root());
    let is = |known: &(&str, &str, &str), file: &str, text: &str| {
        file.ends_with(known.0) && text == known.1
    };
    let new: Vec<String> = (house.searched.iter())
        .filter(|(file, _, text)| !LOOKED_FOR.iter().any(|it| is(it, file, text)))
        .map(|(file, line, text)| format!("{file}:{line} looks for {text:?}"))
        .collect();
    assert!(new.is_empty(), "whose words are these?\n{}", new.join("\n"));
    for known in LOOKED_FOR {
        let found = house.searched.iter().any(|it| is(known, &it.0, &it.2));
        assert!(found, "strike it from the list, nobody looks for it any more: {known:?}");
    }
}
