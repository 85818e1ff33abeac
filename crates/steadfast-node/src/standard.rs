//! The bundles that ship with the product: what lies below promises/, as the files of a model see it,
//! below `std/`. A test compares this list with the directory.

/// Path in the model, and content.
pub const FILES: &[(&str, &[u8])] = &[
    ("std/base.yaml", include_bytes!("../../../promises/base.yaml")),
    ("std/chrony.yaml", include_bytes!("../../../promises/chrony.yaml")),
    ("std/former-user.yaml", include_bytes!("../../../promises/former-user.yaml")),
    ("std/journald.yaml", include_bytes!("../../../promises/journald.yaml")),
    ("std/logrotate.yaml", include_bytes!("../../../promises/logrotate.yaml")),
    ("std/nginx-site.yaml", include_bytes!("../../../promises/nginx-site.yaml")),
    ("std/nginx.yaml", include_bytes!("../../../promises/nginx.yaml")),
    ("std/package.yaml", include_bytes!("../../../promises/package.yaml")),
    ("std/ssh.yaml", include_bytes!("../../../promises/ssh.yaml")),
    ("std/sysadmins.yaml", include_bytes!("../../../promises/sysadmins.yaml")),
    ("std/sysctl.yaml", include_bytes!("../../../promises/sysctl.yaml")),
    (
        "std/templates/chrony/chrony.conf.j2",
        include_bytes!("../../../promises/templates/chrony/chrony.conf.j2"),
    ),
    (
        "std/templates/journald/journald.conf.j2",
        include_bytes!("../../../promises/templates/journald/journald.conf.j2"),
    ),
    (
        "std/templates/logrotate/logrotate.j2",
        include_bytes!("../../../promises/templates/logrotate/logrotate.j2"),
    ),
    (
        "std/templates/nginx-site/site.conf.j2",
        include_bytes!("../../../promises/templates/nginx-site/site.conf.j2"),
    ),
    (
        "std/templates/nginx/nginx.conf.j2",
        include_bytes!("../../../promises/templates/nginx/nginx.conf.j2"),
    ),
    (
        "std/templates/ssh/sshd.conf.j2",
        include_bytes!("../../../promises/templates/ssh/sshd.conf.j2"),
    ),
    (
        "std/templates/sysctl/sysctl.conf.j2",
        include_bytes!("../../../promises/templates/sysctl/sysctl.conf.j2"),
    ),
    (
        "std/templates/unattended-upgrades/apt.conf.j2",
        include_bytes!("../../../promises/templates/unattended-upgrades/apt.conf.j2"),
    ),
    ("std/unattended-upgrades.yaml", include_bytes!("../../../promises/unattended-upgrades.yaml")),
    ("std/user.yaml", include_bytes!("../../../promises/user.yaml")),
    ("std/users.yaml", include_bytes!("../../../promises/users.yaml")),
];
