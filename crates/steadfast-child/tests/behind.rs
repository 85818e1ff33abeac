//! Ending what a program leaves behind. It ends every child of the process that it is called in, so it has a
//! process to itself.

use std::process::{Command, Stdio};
use steadfast_child::{Apart, leaving_nothing_behind, who_runs_as};

fn lives(pid: &str) -> bool {
    std::path::Path::new("/proc").join(pid).exists()
}

#[test]
fn what_a_program_leaves_behind_is_ended_wherever_it_hid() {
    leaving_nothing_behind(|| ()).expect("there is nothing");
    // A session of its own, a child of a child of one, and one that does not heed signals.
    let script = "setsid sleep 1000 & echo $!
        (setsid sh -c 'sleep 1000 & echo $!; exec sleep 1000' &)
        (trap '' TERM HUP INT; setsid sh -c 'sleep 1000; sleep 1000' & echo $!) & wait $!";
    let pids = leaving_nothing_behind(|| {
        let mut command = Command::new("sh");
        command.args(["-c", script]).stdin(Stdio::null());
        Apart::new().set_on(&mut command);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let stdout = child.stdout.take().unwrap();
        let lines = std::io::BufRead::lines(std::io::BufReader::new(stdout));
        let pids: Vec<String> = lines.map_while(Result::ok).take(3).collect();
        child.wait().unwrap();
        assert!(pids.len() == 3 && pids.iter().all(|it| lives(it)), "{pids:?}");
        pids
    });
    let pids = pids.unwrap();
    assert!(pids.iter().all(|it| !lives(it)), "{pids:?}");
}

#[test]
fn who_runs_as_a_user_is_found() {
    let own = rustix::process::geteuid().as_raw();
    assert!(who_runs_as(own).is_some());
    assert_eq!(who_runs_as(61_182), None);
}
