//! Drift of packages.

use super::drift::{Row, came_true, each_is_repaired, keep};
use super::lab::apt::AptRepository;
use super::lab::machine::Machine;
use super::lab::model::run;

fn repository() -> AptRepository {
    let data =
        |text: &'static str| move |it: super::lab::apt::Package| it.file("/usr/share/data", text);
    AptRepository::new()
        .package("plain", "1.0", |it| it.file("/usr/share/plain", "1\n"))
        .package("ranged", "1.0", |it| it.file("/usr/share/ranged", "1.0\n"))
        .package("ranged", "1.5-2", |it| it.file("/usr/share/ranged", "1.5\n"))
        .package("ranged", "2.0", |it| it.file("/usr/share/ranged", "2.0\n"))
        .package("exact", "1.0", |it| it.file("/usr/share/exact", "1.0\n"))
        .package("exact", "1:0.9", |it| it.file("/usr/share/exact", "1:0.9\n"))
        .package("newest", "1.0", |it| it.file("/usr/share/newest", "1.0\n"))
        .package("newest", "1.1", |it| it.file("/usr/share/newest", "1.1\n"))
        .package("newest", "3.0", |it| it.file("/usr/share/newest", "3.0\n"))
        .package("held", "1.0", |it| it.file("/usr/share/held", "1\n"))
        .package("held", "2.0", |it| it.file("/usr/share/held", "2\n"))
        .package("free", "1.0", |it| it.file("/usr/share/free", "1\n"))
        .package("unwanted", "1.0", |it| it.conffile("/etc/unwanted", "1\n"))
        .package("wiped", "1.0", |it| {
            it.conffile("/etc/wiped", "1\n").postrm("[ $1 != purge ] || rm -f /srv/wiped\n")
        })
        .package("needs", "1.0", |it| it.depends("data"))
        .package("data", "1.0", data("1\n"))
        .package("old", "1.0", |it| it.file("/usr/share/old", "1\n"))
        .package("new", "1.0", |it| it.field("Conflicts", "old").file("/usr/share/new", "1\n"))
        .package("conf", "1.0", |it| it.conffile("/etc/conf", "shipped 1\n"))
        .package("conf", "2.0", |it| it.conffile("/etc/conf", "shipped 2\n"))
        .demo_server("1.0")
}

const SERVER: &str = r#"server: web
packages:
  plain: present
  ranged: { version: ">= 1.0, < 2", allow_downgrade: true }
  exact: { version: "1.0", allow_downgrade: true }
  newest: { state: latest, version: "< 2" }
  held: { version: "1.0", hold: true, allow_downgrade: true }
  free: { hold: false }
  unwanted: absent
  wiped: purged
  data: present
"#;

const APT: &str = "export DEBIAN_FRONTEND=noninteractive; apt-get -qy --allow-downgrades";

#[test]
fn every_drift_of_a_package_is_repaired() {
    let Some(machine) = Machine::boot() else { return };
    repository().install(&machine);
    keep(&machine, SERVER, &[]);
    let installed = |name: &str, version: &str| {
        format!(
            "dpkg-query -W -f '${{Status}} ${{Version}}' {name} | grep -qx 'install ok installed {version}'"
        )
    };
    let table: Vec<(&str, String, &str, String)> = vec![
        ("removed", format!("{APT} remove plain"), "package:plain", installed("plain", "1.0")),
        ("purged", format!("{APT} purge plain"), "package:plain", installed("plain", "1.0")),
        ("removed by dpkg", "dpkg -r plain".into(), "package:plain", installed("plain", "1.0")),
        ("marked as a dependency", "apt-mark auto plain".into(), "package:plain", "apt-mark showmanual | grep -qx plain".into()),
        ("held, where nothing is said", "apt-mark hold plain".into(), "", "apt-mark showhold | grep -qx plain; apt-mark unhold plain".into()),
        ("within the range", format!("{APT} install ranged=1.0"), "", installed("ranged", "1.0")),
        ("above the range", format!("{APT} install ranged=2.0"), "package:ranged", installed("ranged", "1.5-2")),
        ("out of the range and away", format!("{APT} remove ranged"), "package:ranged", installed("ranged", "1.5-2")),
        ("another than the exact version", format!("{APT} install exact=1:0.9"), "package:exact", installed("exact", "1.0")),
        ("older than the newest", format!("{APT} install newest=1.0"), "package:newest", installed("newest", "1.1")),
        ("hold lifted", "apt-mark unhold held".into(), "package:held", "apt-mark showhold | grep -qx held".into()),
        ("hold lifted, and upgraded", format!("apt-mark unhold held; {APT} install held=2.0"), "package:held", "dpkg-query -W -f '${Status} ${Version}' held | grep -qx 'hold ok installed 1.0'".into()),
        ("held and removed", format!("{APT} --allow-change-held-packages remove held"), "package:held", "dpkg-query -W -f '${Status} ${Version}' held | grep -qx 'hold ok installed 1.0'".into()),
        ("held where no hold is to be", "apt-mark hold free".into(), "package:free", "! apt-mark showhold | grep -qx free".into()),
        ("installed", format!("{APT} install unwanted"), "package:unwanted", "! test -e /usr/share/doc/unwanted; dpkg-query -W -f '${Status}' unwanted | grep -q 'config-files'".into()),
        ("installed where it is to be purged", format!("touch /srv/wiped; {APT} install wiped"), "package:wiped", "test ! -e /etc/wiped; test ! -e /srv/wiped".into()),
        ("its configuration left", format!("{APT} install wiped; {APT} remove wiped; test -e /etc/wiped"), "package:wiped", "test ! -e /etc/wiped".into()),
        ("many at once", format!("{APT} purge plain ranged newest; {APT} install exact=1:0.9 unwanted"), "package:plain package:ranged package:newest package:exact package:unwanted", format!("{}; {}; {}", installed("plain", "1.0"), installed("newest", "1.1"), installed("exact", "1.0"))),
        ("a dependency of what is promised", format!("{APT} install needs; {APT} remove data; ! dpkg-query -W -f '${{Status}}' needs | grep 'ok installed'"), "package:data", installed("data", "1.0")),
    ];
    let rows: Vec<Row<'_>> = table.iter().map(|(a, b, c, d)| (*a, &**b, *c, &**d)).collect();
    each_is_repaired(&machine, &rows);
}

#[test]
fn a_package_is_not_brought_against_the_will_of_others() {
    let Some(machine) = Machine::boot() else { return };
    repository().install(&machine);
    let mut wrong = vec![];
    // A script; the packages; those that are not kept, with why; those that are repaired; a check.
    type Case<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], &'a [&'a str], &'a str);
    let cases: &[Case<'_>] = &[
        (
            "true",
            "nowhere: present\n  plain: present",
            &[("package:nowhere", "nowhere")],
            &["package:plain"],
            "dpkg -s plain",
        ),
        (
            "true",
            "exact: { version: '9.9' }\n  data: present",
            &[("package:exact", "9.9")],
            &["package:data"],
            "dpkg -s data; ! dpkg -s exact",
        ),
        (
            "APT install ranged=2.0",
            "ranged: { version: '< 2' }\n  free: present",
            &[("package:ranged", "allow_downgrade")],
            &["package:free"],
            "grep -q 2.0 /usr/share/ranged",
        ),
        (
            "APT install ranged=1.0",
            "ranged: { version: '>= 1.5, < 2' }",
            &[],
            &["package:ranged"],
            "grep -q 1.5 /usr/share/ranged",
        ),
        (
            "APT install held=1.0; apt-mark hold held",
            "held: { version: '2.0' }",
            &[("package:held", "somebody else holds it")],
            &[],
            "grep -q 1 /usr/share/held",
        ),
        (
            "true",
            "held: { version: '2.0', hold: false }",
            &[],
            &["package:held"],
            "grep -q 2 /usr/share/held; ! apt-mark showhold | grep held",
        ),
        (
            "APT install old",
            "new: present\n  newest: present",
            &[("package:new", "old")],
            &["package:newest"],
            "dpkg -s old; ! dpkg -s new",
        ),
        (
            "true",
            "new: { allow_removals: [other] }",
            &[("package:new", "old")],
            &[],
            "dpkg -s old; ! dpkg -s new",
        ),
        (
            "true",
            "new: { allow_removals: [old] }",
            &[],
            &["package:new"],
            "dpkg -s new; ! dpkg -s old | grep '^Status: install ok installed'",
        ),
        (
            "APT install needs",
            "data: absent",
            &[("package:data", "needs")],
            &[],
            "dpkg -s needs; dpkg -s data",
        ),
        (
            "true",
            "data: { state: absent, allow_removals: [needs] }",
            &[],
            &["package:data"],
            "! dpkg -s needs | grep '^Status: install ok installed'",
        ),
        // Changed configuration: kept, refused, replaced.
        (
            "APT install conf=1.0; echo mine >/etc/conf",
            "conf: { version: '2.0', conffiles: fail }",
            &[("package:conf", "/etc/conf")],
            &[],
            "grep -q mine /etc/conf; dpkg -s conf | grep -qx 'Version: 1.0'",
        ),
        (
            "true",
            "conf: { version: '2.0' }",
            &[],
            &["package:conf"],
            "grep -q mine /etc/conf; dpkg -s conf | grep -qx 'Version: 2.0'",
        ),
        (
            "rm -f /etc/conf.dpkg-*; APT -o DPkg::Options::=--force-confold install conf=1.0",
            "conf: { version: '2.0', conffiles: replace }",
            &[],
            &["package:conf"],
            "grep -q 'shipped 2' /etc/conf",
        ),
        // Its service stays down, now and then only.
        (
            "true",
            "demo-server: { start: false }",
            &[],
            &["package:demo-server"],
            "! systemctl is-active demo; test ! -e /usr/sbin/policy-rc.d",
        ),
        // Interrupted by somebody else.
        (
            "cd /srv/apt; dpkg --unpack exact_1.0_all.deb",
            "exact: present\n  plain: present",
            &[("package:exact", "dpkg --configure -a")],
            &[],
            "dpkg -s exact | grep -q unpacked; dpkg --configure -a",
        ),
        ("true", "exact: present\n  wiped: present", &[], &["package:wiped"], "dpkg -s wiped"),
    ];
    for (script, packages, refused, repaired, check) in cases {
        let script = script.replace("APT", APT);
        machine.sh(&script);
        let server = format!("server: web\npackages:\n  {packages}\n");
        machine.server_model(&[("servers/web.yaml", &server)]);
        let dry = run(&machine, &["--dry-run"]);
        let real = run(&machine, &[]);
        let not_kept = refused.iter().map(|(it, _)| ((*it).to_owned(), "not-kept".to_owned()));
        let repaired = repaired.iter().map(|it| ((*it).to_owned(), "repaired".to_owned()));
        let mut expected: Vec<(String, String)> = not_kept.chain(repaired).collect();
        let mut outcomes = real.outcomes();
        expected.sort();
        outcomes.sort();
        if outcomes != expected {
            wrong.push(format!("{packages}: {real:#?}"));
        }
        for (promise, why) in *refused {
            // What a run refuses was not said to be certain before.
            let certain = |it: &(String, String, String)| it.0 == *promise && it.2 == "certain";
            if dry.forecasts().iter().any(certain) {
                wrong.push(format!("{packages}: {promise} was certain: {dry:#?}"));
            }
            if !real.because(promise).contains(why) {
                wrong.push(format!("{packages}: {promise} because {}", real.because(promise)));
            }
        }
        if refused.is_empty() {
            wrong.extend(came_true(&dry, &real));
            let again = run(&machine, &[]);
            wrong
                .extend(again.outcomes().into_iter().map(|it| format!("{packages}: again {it:?}")));
        }
        let checked = machine.run(&["sh", "-euc", check]);
        if checked.status != 0 {
            wrong.push(format!("{packages}: {check}: {}{}", checked.stdout, checked.stderr));
        }
    }
    let wrong = wrong.join("\n");
    assert!(wrong.is_empty(), "{wrong}");
}
