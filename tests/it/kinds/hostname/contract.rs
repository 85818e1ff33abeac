//! The name that the kernel has, on both machines.

use crate::contract::{Transcript, inside, real_host, tell};
use crate::real::lab::machine::Machine;
use expect_test::expect;
use steadfast_system::Actuate;
use steadfast_testkit::FakeHost;

fn suite(sys: &dyn Actuate) -> Transcript {
    let mut said = Transcript::default();
    let before = sys.running_hostname().unwrap();
    let longest = "a".repeat(64);
    for name in ["web-1.example.org", "web_1", &longest, &"a".repeat(65)] {
        said.done(&format!("set {} bytes", name.len()), sys.set_running_hostname(name));
        let now = sys.running_hostname().unwrap();
        said.say(format_args!("is it {}", &*now == name));
    }
    said.done("set what was", sys.set_running_hostname(&before));
    said.say(format_args!("is it {}", sys.running_hostname().unwrap() == before));
    said
}

#[test]
fn both_machines_have_a_name() {
    let said = expect![[r#"
        set 17 bytes: done
        is it true
        set 5 bytes: done
        is it true
        set 64 bytes: done
        is it true
        set 65 bytes: Other
        is it false
        set what was: done
        is it true
    "#]];
    said.assert_eq(&suite(&FakeHost::debian()).0);
    let Some(machine) = Machine::boot() else { return };
    said.assert_eq(&inside(&machine, "kinds::hostname::contract::suite_inside_a_machine"));
}

#[test]
#[ignore = "changes the name of the machine that it runs on: the test above starts it in its own"]
fn suite_inside_a_machine() {
    tell(&suite(&real_host(std::path::Path::new("/root/steadfast"))));
}
