//! For which machines a program is built, by the first bytes of an ELF file.

/// As many bytes say it.
pub(super) const HEAD: usize = 20;

const EXECUTABLE: u16 = 2;
const SHARED: u16 = 3;

/// Numbers of machines, and what people call them.
const MACHINES: [(u16, &str); 9] = [
    (3, "i386"),
    (8, "mips"),
    (21, "ppc64el"),
    (22, "s390x"),
    (40, "arm"),
    (62, "amd64"),
    (183, "arm64"),
    (243, "riscv64"),
    (258, "loong64"),
];

/// The machine that a program or library is for, where this one is another. Those of before run on most.
pub(super) fn foreign(head: &[u8]) -> Option<String> {
    let own: &[u16] = match std::env::consts::ARCH {
        "x86_64" => &[62, 3],
        "x86" => &[3],
        "aarch64" => &[183, 40],
        "arm" => &[40],
        "riscv64" => &[243],
        "powerpc64" => &[21],
        "s390x" => &[22],
        "loongarch64" => &[258],
        "mips64" | "mips" => &[8],
        _ => return None,
    };
    let machine = machine(head)?;
    if own.contains(&machine) {
        return None;
    }
    let name = MACHINES.iter().find(|(number, _)| *number == machine);
    Some(name.map_or_else(|| format!("machine {machine}"), |(_, name)| (*name).to_owned()))
}

fn machine(head: &[u8]) -> Option<u16> {
    let head = head.first_chunk::<HEAD>()?;
    if !head.starts_with(b"\x7fELF") {
        return None;
    }
    let number = |at: usize| match head[5] {
        2 => u16::from_be_bytes([head[at], head[at + 1]]),
        _ => u16::from_le_bytes([head[at], head[at + 1]]),
    };
    [EXECUTABLE, SHARED].contains(&number(16)).then(|| number(18))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elf(kind: u8, machine: u8) -> Vec<u8> {
        let mut head = vec![0; HEAD];
        head[..6].copy_from_slice(b"\x7fELF\x02\x01");
        (head[16], head[18]) = (kind, machine);
        head
    }

    #[test]
    fn a_program_of_another_machine_is_known_by_its_head() {
        // No machine of ours.
        assert_eq!(foreign(&elf(2, 8)).as_deref(), Some("mips"));
        assert_eq!(foreign(&elf(1, 8)), None, "an object file is run by nobody");
        assert_eq!(foreign(b"#!/bin/sh\n"), None);
        let own = std::fs::read("/proc/self/exe").unwrap();
        assert_eq!(foreign(&own[..HEAD]), None);
    }
}
