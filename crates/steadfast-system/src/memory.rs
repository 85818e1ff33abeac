//! How this process asks the system for memory.

#[cfg(target_env = "gnu")]
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

/// Other C libraries have one heap as it is.
#[cfg(not(target_env = "gnu"))]
pub fn share_one_heap() {}

/// They give back by themselves.
#[cfg(not(target_env = "gnu"))]
pub fn give_back() {}
