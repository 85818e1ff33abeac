//! Whether the machine is a virtual one, or a container, and of which kind.

use super::text::read_text;
use std::path::Path;

/// What hints at a container or a virtual machine.
#[derive(Debug, Default)]
pub(super) struct Clues {
    /// /run/systemd/container, which systemd writes from what the container's manager told it.
    pub(super) container: Option<String>,
    /// `container=` among the variables of process 1.
    pub(super) first_process: Option<String>,
    pub(super) docker_file: bool,
    pub(super) podman_file: bool,
    /// Vendor and product of the machine, and the vendor of its firmware.
    pub(super) dmi: String,
    /// /sys/hypervisor/type
    pub(super) hypervisor: Option<String>,
    pub(super) cpu_says_guest: bool,
}

impl Clues {
    pub(super) fn of_this_machine() -> Clues {
        let word = |path: &str| {
            let text = read_text(Path::new(path)).ok()?;
            let word = text.trim();
            (!word.is_empty()).then(|| word.to_owned())
        };
        let first_process = read_text(Path::new("/proc/1/environ")).ok().and_then(|text| {
            let value = text.split('\0').find_map(|it| it.strip_prefix("container="))?;
            (!value.is_empty()).then(|| value.to_owned())
        });
        let dmi: Vec<String> = ["sys_vendor", "product_name", "bios_vendor"]
            .iter()
            .filter_map(|name| word(&format!("/sys/class/dmi/id/{name}")))
            .collect();
        let cpu = read_text(Path::new("/proc/cpuinfo")).unwrap_or_default();
        Clues {
            container: word("/run/systemd/container"),
            first_process,
            docker_file: Path::new("/.dockerenv").exists(),
            podman_file: Path::new("/run/.containerenv").exists(),
            dmi: dmi.join("\n"),
            hypervisor: word("/sys/hypervisor/type"),
            cpu_says_guest: cpu_says_guest(&cpu),
        }
    }
}

pub(super) fn cpu_says_guest(cpuinfo: &str) -> bool {
    cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("flags")?.split_once(':'))
        .is_some_and(|(_, flags)| flags.split_ascii_whitespace().any(|it| it == "hypervisor"))
}

/// The words of systemd-detect-virt(1), as far as they can be told without asking the processor.
pub(super) fn virtualization(clues: &Clues) -> &str {
    if let Some(container) = clues.container.as_deref().or(clues.first_process.as_deref()) {
        return container;
    }
    if clues.docker_file {
        return "docker";
    }
    if clues.podman_file {
        return "podman";
    }
    const MAKERS: [(&str, &str); 13] = [
        ("KVM", "kvm"),
        ("OpenStack", "kvm"),
        ("QEMU", "qemu"),
        ("Amazon EC2", "amazon"),
        ("Google Compute Engine", "google"),
        ("VMware", "vmware"),
        ("VMW", "vmware"),
        ("innotek GmbH", "oracle"),
        ("VirtualBox", "oracle"),
        ("Xen", "xen"),
        ("Bochs", "bochs"),
        ("Parallels", "parallels"),
        ("Virtual Machine", "microsoft"),
    ];
    if let Some((_, word)) = MAKERS.iter().find(|(name, _)| clues.dmi.contains(name)) {
        // QEMU without the flag emulates the processor as well.
        return if *word == "qemu" && clues.cpu_says_guest { "kvm" } else { word };
    }
    if clues.hypervisor.as_deref() == Some("xen") {
        return "xen";
    }
    if clues.cpu_says_guest { "vm-other" } else { "none" }
}
