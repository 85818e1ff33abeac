//! How this process asks the system for memory.

use nix::libc;

/// All threads share one heap. Otherwise glibc gives each a heap of its own, which grows by a call for every 4 KiB and
/// gives little back: a run of 10,000 promises makes 5,600 such calls in 12 ms. To be called before another
/// thread begins.
#[cfg(target_env = "gnu")]
#[expect(unsafe_code, reason = "there is no safe call for it")]
pub fn share_one_heap() {
    // SAFETY: it sets a number of the allocator, and nothing else runs yet.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}

/// Gives back to the system what was asked for and is free again, for a process that has nothing to do for a while.
#[cfg(target_env = "gnu")]
#[expect(unsafe_code, reason = "there is no safe call for it")]
pub fn give_back() {
    // SAFETY: the allocator does it under its own lock.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Unmaps the code of this process until it is needed again, for a process that has nothing to do for a while. The
/// kernel maps 64 KiB around each page that is used, so that nearly all of a program counts as its own soon. What is
/// unmapped stays in the page cache, shared with whoever runs the same file, and is free to be reclaimed.
pub fn unmap_code() {
    let Ok(maps) = std::fs::read_to_string("/proc/self/maps") else {
        return;
    };
    for (start, length) in maps.lines().filter_map(code) {
        forget(start, length);
    }
}

/// Begin and length of a mapping of a line of `/proc/PID/maps` that is a file's code: private, and never written to.
fn code(line: &str) -> Option<(usize, usize)> {
    let mut words = line.split_ascii_whitespace();
    let (start, end) = words.next()?.split_once('-')?;
    let (permissions, _offset, _device) = (words.next()?, words.next()?, words.next()?);
    let inode = words.next()?;
    if permissions != "r-xp" || inode == "0" {
        return None;
    }
    let start = usize::from_str_radix(start, 16).ok()?;
    let end = usize::from_str_radix(end, 16).ok()?;
    Some((start, end.checked_sub(start)?))
}

#[expect(unsafe_code, reason = "there is no safe call for it")]
fn forget(start: usize, length: usize) {
    // SAFETY: the pages are a file's, mapped for reading and running; the next use of one reads the same bytes again.
    unsafe {
        libc::madvise(std::ptr::without_provenance_mut(start), length, libc::MADV_DONTNEED);
    }
}

/// Other C libraries have one heap as it is.
#[cfg(not(target_env = "gnu"))]
pub fn share_one_heap() {}

/// They give back by themselves.
#[cfg(not(target_env = "gnu"))]
pub fn give_back() {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::FileExt as _;

    /// How much of this program's code is mapped, in KiB.
    fn mapped() -> u64 {
        let smaps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let own = std::env::current_exe().unwrap();
        let mut is_code = false;
        let mut all = 0;
        for line in smaps.lines() {
            if let Some(size) = line.strip_prefix("Rss:").filter(|_| is_code) {
                all += size.trim().trim_end_matches(" kB").parse::<u64>().unwrap();
            } else if line.contains(" r-xp ") {
                is_code = line.ends_with(own.to_str().unwrap());
            } else if line.contains('-') && line.contains(" r") {
                is_code = false;
            }
        }
        all
    }

    /// Reads all of it, so that all of it is mapped.
    fn touch_code() {
        let memory = std::fs::File::open("/proc/self/mem").unwrap();
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        for (start, length) in maps.lines().filter_map(code) {
            let mut bytes = vec![0; length];
            memory.read_exact_at(&mut bytes, u64::try_from(start).unwrap()).unwrap();
        }
    }

    #[test]
    fn code_is_unmapped_until_it_runs_again() {
        touch_code();
        let before = mapped();
        unmap_code();
        let after = mapped();
        assert!(after < before, "{after} of {before} KiB");
    }

    #[test]
    fn only_code_of_files_is_unmapped() {
        assert_eq!(
            code("55d0c0a00000-55d0c0a20000 r-xp 00200000 fe:01 393  /usr/bin/steadfast"),
            Some((0x55d0_c0a0_0000, 0x2_0000))
        );
        for other in [
            "55d0c0a00000-55d0c0a20000 r--p 00200000 fe:01 393  /usr/bin/steadfast",
            "55d0c0a00000-55d0c0a20000 rwxp 00200000 fe:01 393  /usr/bin/steadfast",
            "7ffd3b5f2000-7ffd3b5f4000 r-xp 00000000 00:00 0  [vdso]",
            "7ffd3b5f2000-7ffd3b5f4000 r-xp",
            "",
        ] {
            assert_eq!(code(other), None, "{other}");
        }
    }
}
