//! What this machine and made-up ones say about themselves.

use super::network::name_in_hosts;
use super::own::fact_files;
use super::virtualization::cpu_says_guest;
use super::*;
use expect_test::expect;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;

#[test]
fn the_system_says_what_it_is() {
    let debian = "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nNAME=\"Debian GNU/Linux\"\n\
                  VERSION_ID=\"12\"\nVERSION_CODENAME=bookworm\nID=debian\n# ID=x\n\nrubbish\n";
    let mint = "ID=linuxmint\nID_LIKE='ubuntu debian'\nPRETTY_NAME=\"A \\\"B\\\" \\$C\"\n";
    let rocky = "ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\nNAME=Rocky\n";
    let all: Vec<String> =
        [debian, mint, rocky, ""].iter().map(|it| os(&os_release(it)).to_string()).collect();
    expect![[r#"
        {"family":"debian","id":"debian","version":"12","codename":"bookworm","name":"Debian GNU/Linux 12 (bookworm)"}
        {"family":"debian","id":"linuxmint","version":null,"codename":null,"name":"A \"B\" $C"}
        {"family":"rhel","id":"rocky","version":null,"codename":null,"name":"Rocky"}
        {"family":"linux","id":"linux","version":null,"codename":null,"name":null}"#]]
    .assert_eq(&all.join("\n"));
}

#[test]
fn numbers_are_read_or_not_there() {
    assert_eq!(memory("MemTotal:        4012564 kB\nMemFree: 1 kB\n"), Some(4_108_865_536));
    assert_eq!(memory("MemFree: 1 kB\n"), None);
    assert_eq!(memory("MemTotal: 99999999999999999999 kB\n"), None);
    assert_eq!(listed("0-3,8\n"), Some(5));
    assert_eq!(listed("0"), Some(1));
    assert_eq!(listed("3-0"), None);
    assert_eq!(listed(""), None);
    assert_eq!(machine_id("0123456789abcdef0123456789abcdef\n").map(str::len), Some(32));
    assert_eq!(machine_id("uninitialized\n"), None);
}

#[test]
fn the_full_name_is_the_first_on_the_line_of_the_host() {
    let hosts = "127.0.0.1 localhost\n127.0.1.1\tweb1.xyz.example WEB1 # web2\n\
                 ::1 localhost.localdomain web3\n192.0.2.1 web4 web4.xyz.example\n";
    assert_eq!(name_in_hosts(hosts, "web1"), Some("web1.xyz.example"));
    for unknown in ["web2", "web3", "web4", "localhost"] {
        assert_eq!(name_in_hosts(hosts, unknown), None, "{unknown}");
    }
}

#[test]
fn addresses_are_sorted_and_reachable() {
    let all = [
        ("lo", "127.0.0.1"),
        ("lo", "::1"),
        ("eth1", "192.0.2.10"),
        ("eth1", "fe80::1"),
        ("eth0", "10.0.0.9"),
        ("eth0", "9.0.0.1"),
        ("eth0", "169.254.1.1"),
        ("eth0", "2001:db8::10"),
        ("eth0", "fd00::2"),
    ];
    let all = all.iter().map(|(name, ip)| ((*name).to_owned(), ip.parse().unwrap()));
    expect![[r#"{"ipv4":["9.0.0.1","10.0.0.9","192.0.2.10"],"ipv6":["2001:db8::10","fd00::2"],"interfaces":{"eth0":{"ipv4":["9.0.0.1","10.0.0.9"],"ipv6":["2001:db8::10","fd00::2"]},"eth1":{"ipv4":["192.0.2.10"],"ipv6":[]}}}"#]]
        .assert_eq(&addresses(all).to_string());
}

#[test]
fn a_container_is_told_before_the_machine_below_it() {
    let guest = || Clues { dmi: "QEMU\nStandard PC".to_owned(), ..Clues::default() };
    let table = [
        (Clues::default(), "none"),
        (guest(), "qemu"),
        (Clues { cpu_says_guest: true, ..guest() }, "kvm"),
        (Clues { cpu_says_guest: true, ..Clues::default() }, "vm-other"),
        (Clues { docker_file: true, ..guest() }, "docker"),
        (Clues { first_process: Some("lxc".to_owned()), ..guest() }, "lxc"),
        (Clues { container: Some("systemd-nspawn".to_owned()), ..guest() }, "systemd-nspawn"),
        (Clues { hypervisor: Some("xen".to_owned()), ..Clues::default() }, "xen"),
    ];
    for (clues, word) in &table {
        assert_eq!(virtualization(clues), *word, "{clues:?}");
    }
    assert!(cpu_says_guest("model name\t: x\nflags\t\t: fpu hypervisor sse\n"));
    assert!(!cpu_says_guest("flags\t\t: fpu sse\n"));
}

fn as_json(bytes: &[u8], is_json: bool) -> Result<Value, String> {
    if is_json {
        serde_json::from_slice(bytes).map_err(|err| err.to_string())
    } else {
        Ok(json!({ "yaml": 1 }))
    }
}

#[test]
fn facts_of_ones_own_are_added_and_replace_none() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("facts.d");
    std::fs::create_dir(&path).unwrap();
    std::fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
    let write = |name: &str, text: &str, mode| {
        std::fs::write(path.join(name), text).unwrap();
        std::fs::set_permissions(path.join(name), Permissions::from_mode(mode)).unwrap();
    };
    write("a.json", r#"{ "rack": "r1", "cpus": 99 }"#, 0o644);
    write("b.json", r#"{ "rack": "r2", "role": ["x"] }"#, 0o600);
    write("c.yaml", "", 0o644);
    write("d.json", r#"{ "open": true }"#, 0o664);
    write("e.json", "{", 0o644);
    write("f.json", "[]", 0o644);
    write("README", "{", 0o644);
    write(".g.json", "{", 0o644);
    std::os::unix::fs::symlink("a.json", path.join("h.json")).unwrap();
    std::fs::create_dir(path.join("i.json")).unwrap();
    let me = rustix::process::getuid().as_raw();
    let (mut facts, mut notes) = (Map::new(), Notes(vec![]));
    facts.insert("cpus".to_owned(), json!(2));
    static_facts(&path, me, &as_json, &Foreseen::default(), &mut facts, &mut notes);
    expect![[r#"{"cpus":2,"rack":"r1","role":["x"],"yaml":1}"#]]
        .assert_eq(&Value::Object(facts).to_string());
    let told = notes.0.join("\n").replace(&*path.to_string_lossy(), "");
    expect![[r#"
        /a.json: there is already a fact `cpus`; ignored
        /b.json: there is already a fact `rack`; ignored
        /d.json: others can write it; ignored
        /e.json: EOF while parsing an object at line 1 column 1; ignored
        /f.json: it is not a map of names to facts; ignored
        /h.json: it is a link; ignored
        /i.json: it is not a regular file; ignored"#]]
    .assert_eq(&told);
}

#[test]
fn what_is_about_to_be_written_says_its_facts_already() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for name in ["a.json", "b.json"] {
        std::fs::write(at(name), r#"{ "rack": "r1" }"#).unwrap();
        std::fs::set_permissions(at(name), Permissions::from_mode(0o644)).unwrap();
    }
    std::fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    let new = |text: &str| Some(Arc::from(text.as_bytes()));
    let foreseen = Foreseen {
        hostname: None,
        files: BTreeMap::from([
            (at("a.json"), None),
            (at("b.json"), new(r#"{ "rack": "r2" }"#)),
            (at("c.json"), new(r#"{ "role": "new" }"#)),
            (at("README"), new("{")),
            (PathBuf::from("/etc/hosts"), new("127.0.1.1 web1.xyz.example web1\n")),
        ]),
    };
    let me = rustix::process::getuid().as_raw();
    let (mut facts, mut notes) = (Map::new(), Notes(vec![]));
    static_facts(folder.path(), me, &as_json, &foreseen, &mut facts, &mut notes);
    assert_eq!(Value::Object(facts), json!({ "rack": "r2", "role": "new" }));
    assert!(notes.0.is_empty(), "{:?}", notes.0);
    let renamed = Foreseen { hostname: Some("web1".into()), ..foreseen };
    let (facts, _) = gather(Path::new("/nonexistent/facts.d"), &as_json, &renamed);
    assert_eq!(facts["hostname"], "web1");
    assert_eq!(facts["fqdn"], "web1.xyz.example");
}

#[test]
fn a_folder_that_others_can_write_says_nothing() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.json"), "{}").unwrap();
    std::fs::set_permissions(folder.path(), Permissions::from_mode(0o777)).unwrap();
    let me = rustix::process::getuid().as_raw();
    assert_eq!(fact_files(folder.path(), me), Err("others can write it".to_owned()));
    assert!(fact_files(folder.path(), me + 1).is_err());
    assert_eq!(fact_files(&folder.path().join("missing"), me), Ok(vec![]));
}

#[test]
fn this_machine_has_every_fact_and_says_the_same_twice() {
    let nowhere = Path::new("/nonexistent/facts.d");
    let (facts, _) = gather(nowhere, &as_json, &Foreseen::default());
    let names: Vec<&String> = facts.as_object().unwrap().keys().collect();
    expect![[r#"["os", "kernel", "architecture", "hostname", "fqdn", "machine_id", "cpus", "memory", "addresses", "virtualization"]"#]]
        .assert_eq(&format!("{names:?}"));
    assert!(facts["cpus"].as_u64().is_some_and(|it| it > 0), "{facts}");
    assert!(facts["kernel"].as_str().is_some_and(|it| !it.is_empty()), "{facts}");
    assert_eq!(facts.to_string(), gather(nowhere, &as_json, &Foreseen::default()).0.to_string());
}
