//! A realistic server with nothing to change, in a Debian that is booted in a container.

use crate::real::machine::Machine;
use crate::{Bench, Line, parsed};
use std::fmt::Write as _;
use std::time::{Duration, Instant};

const TIMES: usize = 15;
const TEMPLATE: &str = "# {{ node.name }}, by {{ environment.name }}\n\
    {% for it in range(8) %}\nkey{{ it }} = {{ name }}-{{ it * 2 }}\n{% endfor %}\n";

/// 60 packages, 40 users, 20 groups, 300 templated files, 50 directories, 15 services, 30 cron jobs.
pub(crate) fn bench(_: &Bench) {
    let Some(machine) = Machine::boot() else { return };
    let own = std::env::current_exe().unwrap();
    machine.push(&own, "/usr/local/bin/bench", 0o755);
    let installed = machine.ok(&["dpkg-query", "-W", "-f", "${Package}\\n"]);
    let packages: Vec<&str> = installed.lines().take(60).collect();
    let server = server(&packages);
    machine.server_model(&[("servers/web.yaml", &server), ("templates/app.conf.j2", TEMPLATE)]);
    let run = ["run", "--model", "/srv/model"];
    let first = machine.steadfast(&run);
    assert_eq!(first.status, 0, "{}\n{}", first.stdout, first.stderr);
    let second = machine.steadfast(&run);
    assert_eq!(second.status, 0, "{}\n{}", second.stdout, second.stderr);
    let files: Vec<String> = (0..300)
        .map(|it| format!("/etc/app/{:02}/{it:03}.conf", it % 50))
        .chain((0..30).map(|it| format!("/etc/cron.d/job{it:02}")))
        .collect();
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    let program = ["bench", "measure", "1", "/usr/local/bin/steadfast"];
    let mut line = Line::default();
    for _ in 0..TIMES {
        let floor = machine.ok(&[&["bench", "floor-server"], &files[..]].concat());
        line.floors.push(Duration::from_micros(floor.trim().parse().unwrap()));
        line.taken.extend(parsed(&machine.ok(&[&program[..], &run[..]].concat())));
    }
    line.print("a realistic server, kept");
    let mut line = Line { floors: line.floors, taken: vec![] };
    for _ in 0..5 {
        let remembered = ["/var/cache/steadfast/resolved", "/var/cache/steadfast/kept"];
        machine.ok(&[&["rm", "-f"], &remembered[..]].concat());
        line.taken.extend(parsed(&machine.ok(&[&program[..], &run[..]].concat())));
    }
    line.print("a realistic server, kept, the model has changed");
}

fn server(packages: &[&str]) -> String {
    let mut text = "server: web\nparameters:\n  name: web\npackages:\n".to_owned();
    for name in packages {
        writeln!(text, "  {name}: present").unwrap();
    }
    text.push_str("groups:\n");
    for it in 0..20 {
        writeln!(text, "  team{it:02}: {{ gid: {} }}", 3000 + it).unwrap();
    }
    text.push_str("users:\n");
    for it in 0..40 {
        writeln!(
            text,
            "  person{it:02}: {{ uid: {}, group: team{:02}, groups: [adm], shell: /bin/bash, home: /srv/home/person{it:02}, comment: Person {it} }}",
            4000 + it,
            it % 20
        )
        .unwrap();
    }
    text.push_str(
        "directories:\n  /srv/home: { mode: \"0755\" }\n  /etc/app: { mode: \"0755\" }\n",
    );
    for it in 0..48 {
        writeln!(text, "  /etc/app/{it:02}: {{ owner: person{:02}, mode: \"0750\" }}", it % 40)
            .unwrap();
    }
    text.push_str("  /etc/app/48: { mode: \"0755\" }\n  /etc/app/49: { mode: \"0755\" }\n");
    text.push_str("files:\n");
    for it in 0..300 {
        writeln!(
            text,
            "  /etc/app/{:02}/{it:03}.conf: {{ template: templates/app.conf.j2, variables: {{ name: app{it} }}, mode: \"0640\", group: team{:02} }}",
            it % 50,
            it % 20
        )
        .unwrap();
    }
    text.push_str("services:\n");
    for it in 0..15 {
        writeln!(
            text,
            "  app{it:02}:\n    running: true\n    enabled: true\n    settle: 0s\n    restart_on: [\"file:/etc/app/{it:02}/**\"]\n    unit:\n      content: |\n        [Unit]\n        Description=app {it}\n        [Service]\n        ExecStart=/bin/sleep infinity\n        [Install]\n        WantedBy=multi-user.target"
        )
        .unwrap();
    }
    text.push_str("cron:\n");
    for it in 0..30 {
        writeln!(
            text,
            "  job{it:02}: {{ schedule: \"{it} 3 * * *\", user: person{it:02}, command: \"true {it}\" }}"
        )
        .unwrap();
    }
    text
}

/// Reads what tells of packages and accounts and all the files, and says how many microseconds it took.
/// Services are asked about in no smaller way than over the bus, which is left out here.
pub(crate) fn floor(files: &[&str]) {
    let begin = Instant::now();
    let accounts = ["/etc/passwd", "/etc/group", "/etc/shadow", "/etc/gshadow"];
    for path in accounts.iter().chain(&["/var/lib/dpkg/status"]).chain(files) {
        std::hint::black_box(std::fs::read(path).unwrap());
    }
    for it in 0..50 {
        std::hint::black_box(std::fs::symlink_metadata(format!("/etc/app/{it:02}")).unwrap());
    }
    println!("{}", begin.elapsed().as_micros());
}
