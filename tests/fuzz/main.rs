//! Whatever bytes a stranger sends, what reads them ends, and believes nothing that was not signed.
//!
//! Each target of `targets.rs` is given inputs that are made from those of `corpus.rs` by `mutate.rs`: always the
//! same 2,000, so that a change cannot fail by chance. Longer, with other inputs each time:
//!
//! ```text
//! PROPTEST_CASES=1000000 cargo test -p steadfast-tests --test fuzz -- git_objects
//! ```
//!
//! A panic shows its input. What ends the whole process, such as too deep a recursion, leaves it in a file:
//!
//! ```text
//! STEADFAST_FUZZ_LAST=/tmp/last PROPTEST_CASES=1000000 cargo test -p steadfast-tests --test fuzz -- language
//! ```
//!
//! `libfuzzer/` beside this has the same targets for libFuzzer, which looks where an input leads. With sanitizers
//! it takes a nightly toolchain, without them the stable one: its Cargo.toml says how.

#[cfg(test)]
mod corpus;

#[cfg(test)]
mod mutate;

#[cfg(test)]
#[path = "../it/one_file.rs"]
mod one_file;

#[cfg(test)]
mod targets;

#[cfg(test)]
mod tests {
    use super::{corpus, mutate, targets};
    use proptest::test_runner::{Config, RngSeed, TestError, TestRunner};
    use std::cell::Cell;

    fn config() -> Config {
        let usual = Config { failure_persistence: None, ..Config::default() };
        if std::env::var_os("PROPTEST_CASES").is_some() {
            return usual;
        }
        Config { cases: 2_000, rng_seed: RngSeed::Fixed(1), ..usual }
    }

    /// Every seed is taken, so what is made of it gets far; and of the inputs some are taken, some are not.
    fn hold(target: fn(&[u8]) -> bool, seeds: Vec<Vec<u8>>) {
        for seed in &seeds {
            assert!(target(seed), "a seed is not taken:\n{}", seed.escape_ascii());
        }
        let (taken, refused) = (Cell::new(0), Cell::new(0));
        let mut runner = TestRunner::new(config());
        let last = std::env::var_os("STEADFAST_FUZZ_LAST");
        let ended = runner.run(&mutate::inputs(seeds), |bytes| {
            if let Some(path) = &last {
                std::fs::write(path, &bytes).unwrap();
            }
            let count = if target(&bytes) { &taken } else { &refused };
            count.set(count.get() + 1);
            Ok(())
        });
        if let Err(TestError::Fail(why, bytes)) = &ended {
            panic!("{why}\nby the input\n{}", bytes.escape_ascii());
        }
        ended.unwrap();
        println!("{} taken, {} refused", taken.get(), refused.get());
        assert!(taken.get() > 0 && refused.get() > 0, "the inputs are all alike");
    }

    macro_rules! targets {
        ($($name:ident)+) => {
            $(#[test]
            fn $name() {
                hold(targets::$name, corpus::$name());
            })+
        };
    }

    targets! { language settings git_objects snapshot archive blame envelope keys offer }
}
