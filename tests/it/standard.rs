//! What ships with the product, the standard bundles and the examples, is right by our own check.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use steadfast_engine::promised::{instances, lower};
use steadfast_model::application::ReleaseId;
use steadfast_model::check::{Target, targets};
use steadfast_model::{
    ComponentId, Diagnostics, Lower, NodeInput, Promise, Severity, SourceSet, document, render,
    resolve,
};
use steadfast_resources::Kind as _;
use steadfast_resources::cron::Cron;

use steadfast_node::standard as shipped;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a workspace").to_owned()
}

/// Every file below a directory, by its path in it.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let (mut all, mut folders) = (vec![], vec![folder.to_owned()]);
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
                all.push((name, std::fs::read(path).unwrap()));
            }
        }
    }
    all.sort();
    all
}

/// A model of these files and the standard bundles, checked: every node's promises.
fn checked(model: &[(String, Vec<u8>)]) -> (SourceSet, Vec<(Target, Vec<Promise>)>, Diagnostics) {
    let sources = sources(model);
    let (documents, mut diagnostics) = document::parse(&sources);
    let (targets, more) = targets(&documents, &sources);
    diagnostics.extend(more);
    let mut nodes = vec![];
    for target in targets {
        let (resolved, more) = resolve(&documents, &sources, &input(&target));
        diagnostics.extend(more);
        nodes.push((target, resolved.promises));
    }
    (sources, nodes, diagnostics)
}

/// The files of a model, and the standard bundles.
fn sources(model: &[(String, Vec<u8>)]) -> SourceSet {
    let mut sources = SourceSet::default();
    for (path, bytes) in model {
        sources.add(path.as_str(), bytes.as_slice(), false);
    }
    for (path, bytes) in shipped::FILES {
        sources.add(*path, *bytes, false);
    }
    sources
}

fn input(target: &Target) -> NodeInput<'_> {
    static NO_RELEASES: BTreeMap<ComponentId, ReleaseId> = BTreeMap::new();
    NodeInput {
        environment: &target.environment,
        node: &target.node,
        facts: target.facts.as_ref(),
        releases: &NO_RELEASES,
    }
}

#[track_caller]
fn assert_right(sources: &SourceSet, diagnostics: &Diagnostics) {
    let told: String = diagnostics
        .iter()
        .filter(|it| it.severity != Severity::Hint)
        .map(|it| render::text(it, sources, false))
        .collect();
    assert_eq!(told, "");
}

/// The texts of all files that templates give, below their paths.
fn rendered(sources: &SourceSet, promises: &[Promise]) -> Vec<(String, String)> {
    let mut diagnostics = Diagnostics::default();
    let mut texts = vec![];
    for promise in promises.iter().filter(|it| it.kind == "file") {
        let mut cx = Lower::new(&mut diagnostics, sources, &promise.scope);
        let text = if let Some(template) = promise.body.get("template") {
            let path = cx.as_text(template, "`template`").unwrap();
            let text = cx.render_template(
                &steadfast_model::TextFrom::Model(path),
                promise.body.get("variables"),
            );
            text.and_then(|it| it.as_plain())
        } else if let Some(source) = promise.body.get("source") {
            let path = cx.as_text(source, "`source`").unwrap();
            cx.file(&path).and_then(|it| it.text()).map(Into::into)
        } else {
            promise
                .body
                .get("content")
                .and_then(|it| cx.as_text(it, "`content`"))
                .map(|it| it.value)
        };
        if let Some(text) = text {
            texts.push((promise.name.value.to_string(), text.to_string()));
        }
    }
    assert_right(sources, &diagnostics);
    texts
}

/// Lowers the cron jobs, which must be right and say nothing doubtful.
fn cron_jobs(sources: &SourceSet, promises: &[Promise]) {
    let mut diagnostics = Diagnostics::default();
    for promise in promises.iter().filter(|it| it.kind == Cron::NAME) {
        let mut cx = Lower::new(&mut diagnostics, sources, &promise.scope);
        assert!(Cron::lower(&promise.name, &promise.body, &mut cx).is_some(), "{}", promise.id);
    }
    assert_right(sources, &diagnostics);
}

#[test]
fn every_file_below_promises_ships() {
    let there: Vec<(String, Vec<u8>)> = files(&root().join("promises"))
        .into_iter()
        .map(|(path, bytes)| (format!("std/{path}"), bytes))
        .collect();
    let names: Vec<&str> = there.iter().map(|(path, _)| path.as_str()).collect();
    let shipped: Vec<&str> = shipped::FILES.iter().map(|(path, _)| *path).collect();
    assert_eq!(shipped, names);
    for ((path, bytes), (_, shipped)) in there.iter().zip(shipped::FILES) {
        assert_eq!(bytes, shipped, "{path}");
    }
}

#[test]
fn a_standard_bundle_is_named_as_its_file_and_documents_its_parameters() {
    let mut sources = SourceSet::default();
    for (path, bytes) in shipped::FILES {
        sources.add(*path, *bytes, false);
    }
    let (model, _) = document::parse(&sources);
    let documents: BTreeSet<String> = shipped::FILES
        .iter()
        .filter_map(|(path, _)| path.strip_suffix(".yaml").map(str::to_owned))
        .collect();
    assert_eq!(model.bundles.keys().map(ToString::to_string).collect::<BTreeSet<_>>(), documents);
    for (name, bundle) in &model.bundles {
        assert!(bundle.description.is_some(), "{name}");
        for parameter in &bundle.parameters {
            assert!(parameter.description.is_some(), "{name}: {}", parameter.name.value);
            assert!(parameter.takes.is_some(), "{name}: {}", parameter.name.value);
        }
    }
}

#[test]
fn every_example_is_a_model_without_a_mistake() {
    for entry in std::fs::read_dir(root().join("examples")).unwrap() {
        let (sources, nodes, diagnostics) = checked(&files(&entry.unwrap().path()));
        assert_right(&sources, &diagnostics);
        assert!(!nodes.is_empty());
        for (target, promises) in &nodes {
            assert!(promises.len() > 10, "{} promises little", target.node);
            assert!(promises.iter().all(|it| !it.conditional), "{}", target.node);
            rendered(&sources, promises);
            cron_jobs(&sources, promises);
        }
    }
}

/// What each environment of the organization has on its first node, and that no component has a mistake.
#[test]
fn the_organization_s_teams_move_apart_from_each_other() {
    let sources = sources(&files(&root().join("examples/organization-xyz")));
    let (documents, mistakes) = document::parse(&sources);
    assert_right(&sources, &mistakes);
    let (targets, _) = targets(&documents, &sources);
    let mut told = String::new();
    for target in &targets {
        let (mut resolved, own, found) = lower(&documents, &sources, &input(target));
        assert_right(&sources, &found);
        let all = instances(&mut resolved, &sources, &own);
        for instance in &all {
            assert_right(&sources, &instance.placed.mistakes);
            assert!(instance.placed.settings.is_some() && instance.placed.directory.is_some());
        }
        let all: Vec<String> = all
            .iter()
            .map(|it| format!("{} {}", it.placed.id, it.placed.release.version))
            .collect();
        told += &format!("{} ({}): {}\n", target.node, target.environment, all.join(", "));
    }
    expect_test::expect![[r#"
        web1.acceptance.xyz.example (acceptance): orders/app 2.1, people/api 1.4, people/web 1.3
        web1.xyz.example (production): orders/app 2.0, people/api 1.3, people/web 1.3
        web2.xyz.example (production): orders/app 2.0, people/api 1.3, people/web 1.3
    "#]]
    .assert_eq(&told);
}

/// The environments differ in what their parameters say, and in nothing else.
#[test]
fn the_web_server_is_the_same_in_both_environments() {
    let (sources, nodes, _) = checked(&files(&root().join("examples/web-server")));
    let ids = |at: usize| nodes[at].1.iter().map(|it| it.id.to_string()).collect::<Vec<_>>();
    let staging = nodes.iter().position(|(it, _)| &*it.environment == "staging").unwrap();
    assert_eq!(ids(0), ids(staging));
    let text = |at: usize, path: &str| {
        let texts = rendered(&sources, &nodes[at].1);
        texts.into_iter().find(|(name, _)| name == path).unwrap().1
    };
    assert_ne!(
        text(0, "/srv/www/www/public/robots.txt"),
        text(staging, "/srv/www/www/public/robots.txt")
    );
    expect_test::expect![[r#"
        # Kept by steadfast (std/nginx-site); what is changed here by hand does not last.
        server {
        	listen 80;
        	listen [::]:80;
        	server_name www.xyz.example xyz.example;
        	access_log /var/log/nginx/www.access.log;
        	error_log /var/log/nginx/www.error.log;
        	root /srv/www/www/public;
        	index index.html;

        	location / {
        		try_files $uri $uri/ =404;
        	}

        	location ~ /\.(?!well-known/) {
        		return 404;
        	}
        }
    "#]]
    .assert_eq(&text(0, "/etc/nginx/sites-available/www"));
    expect_test::expect![[r#"
        # Kept by steadfast (std/ssh); what is changed here by hand does not last.
        Port 22
        PermitRootLogin no
        PasswordAuthentication no
        KbdInteractiveAuthentication no
        PermitEmptyPasswords no
        PubkeyAuthentication yes
        AllowGroups sysadmins deploy
        X11Forwarding no
        AllowTcpForwarding yes
        AllowAgentForwarding no
        MaxAuthTries 4
        LoginGraceTime 30
        ClientAliveInterval 300
        ClientAliveCountMax 2
    "#]]
    .assert_eq(&text(0, "/etc/ssh/sshd_config.d/10-steadfast.conf"));
    expect_test::expect![[r#"
        web1.xyz.example (production, zone a)
        Debian GNU/Linux 12 (bookworm), 4 processors, 7 GiB
        192.0.2.11
        2001:db8::11
        Kept by steadfast: what is changed by hand here does not last.
    "#]]
    .assert_eq(&text(0, "/etc/motd"));
    expect_test::expect![[r#"
        %sysadmins ALL=(ALL:ALL) NOPASSWD: ALL
    "#]]
    .assert_eq(&text(0, "/etc/sudoers.d/sysadmins"));
}

/// Branches of the standard templates that the example does not take.
#[test]
fn standard_bundles_take_their_other_arguments() {
    let model = [
        ("model.yaml", "model: x\nformat: 1\n"),
        ("environments/e.yaml", "environment: e\nnodes: { n: { servers: [s] } }\n"),
        (
            "servers/s.yaml",
            r#"server: s
include:
  - std/nginx: { gzip: false, default_site: true }
  - std/nginx-site:
      name: both
      server_names: [a.example]
      root: /srv/a
      proxy: http://127.0.0.1:8081
      port: 443
      certificate: /etc/ssl/a.pem
      certificate_key: /etc/ssl/private/a.pem
      default_server: true
      extra: "\tallow all;"
  - std/nginx-site: { name: proxy, server_names: [b.example], proxy: "http://[::1]:80" }
  - std/chrony: { servers: [ntp.example], pools: [] }
  - std/unattended-upgrades: { blocked: ["linux-"], origins: ["origin=Debian"], mail: root }
  - std/logrotate: { name: people, paths: ["/var/log/people/*.log"], postrotate: "true" }
  - std/journald
  - std/base: { motd: Hello }
"#,
        ),
    ];
    let model: Vec<(String, Vec<u8>)> =
        model.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect();
    let (sources, nodes, diagnostics) = checked(&model);
    assert_right(&sources, &diagnostics);
    let texts = rendered(&sources, &nodes[0].1);
    let text = |path: &str| texts.iter().find(|(name, _)| name == path).unwrap().1.as_str();
    expect_test::expect![[r#"
        # Kept by steadfast (std/nginx-site); what is changed here by hand does not last.
        server {
        	listen 443 ssl http2 default_server;
        	listen [::]:443 ssl http2 default_server;
        	server_name a.example;
        	ssl_certificate /etc/ssl/a.pem;
        	ssl_certificate_key /etc/ssl/private/a.pem;
        	access_log /var/log/nginx/both.access.log;
        	error_log /var/log/nginx/both.error.log;
        	root /srv/a;
        	index index.html;

        	location / {
        		try_files $uri @proxy;
        	}

        	location @proxy {
        		proxy_pass http://127.0.0.1:8081;
        		proxy_set_header Host $host;
        		proxy_set_header X-Real-IP $remote_addr;
        		proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        		proxy_set_header X-Forwarded-Proto $scheme;
        	}

        	location ~ /\.(?!well-known/) {
        		return 404;
        	}

        	allow all;
        }
    "#]]
    .assert_eq(text("/etc/nginx/sites-available/both"));
    expect_test::expect![[r#"
        # Kept by steadfast (std/nginx-site); what is changed here by hand does not last.
        server {
        	listen 80;
        	listen [::]:80;
        	server_name b.example;
        	access_log /var/log/nginx/proxy.access.log;
        	error_log /var/log/nginx/proxy.error.log;

        	location / {
        		proxy_pass http://[::1]:80;
        		proxy_set_header Host $host;
        		proxy_set_header X-Real-IP $remote_addr;
        		proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        		proxy_set_header X-Forwarded-Proto $scheme;
        	}

        	location ~ /\.(?!well-known/) {
        		return 404;
        	}
        }
    "#]]
    .assert_eq(text("/etc/nginx/sites-available/proxy"));
    expect_test::expect![[r#"
        // Kept by steadfast (std/unattended-upgrades); what is changed here by hand does not last.
        #clear Unattended-Upgrade::Origins-Pattern;
        Unattended-Upgrade::Origins-Pattern {
                "origin=Debian";
        };
        Unattended-Upgrade::Package-Blacklist {
                "linux-";
        };
        Unattended-Upgrade::Automatic-Reboot "false";
        Unattended-Upgrade::Automatic-Reboot-Time "04:00";
        Unattended-Upgrade::Remove-Unused-Dependencies "true";
        Unattended-Upgrade::Mail "root";
        Unattended-Upgrade::MailReport "only-on-error";
    "#]]
    .assert_eq(text("/etc/apt/apt.conf.d/52steadfast-unattended-upgrades"));
    expect_test::expect![[r#"
        # Kept by steadfast (std/logrotate); what is changed here by hand does not last.
        /var/log/people/*.log {
        	daily
        	rotate 14
        	missingok
        	notifempty
        	compress
        	delaycompress
        	create 0640 root adm
        	sharedscripts
        	postrotate
        		true
        	endscript
        }
    "#]]
    .assert_eq(text("/etc/logrotate.d/people"));
    assert_eq!(text("/etc/motd"), "Hello\n");
}
