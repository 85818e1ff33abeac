//! Tests of the whole.

#[cfg(test)]
mod artifacts;

#[cfg(test)]
mod cli;

#[cfg(test)]
mod contract;

#[cfg(test)]
mod kinds;

#[cfg(test)]
mod language;

#[cfg(test)]
mod laws;

#[cfg(test)]
mod one_file;

#[cfg(test)]
mod plan_check;

#[cfg(test)]
mod publish;

#[cfg(test)]
mod real;

#[cfg(test)]
mod require;

#[cfg(test)]
mod scenarios;

#[cfg(test)]
mod selected;

#[cfg(test)]
mod source_servers;

#[cfg(test)]
mod standard;

#[cfg(test)]
mod tidy;

#[cfg(test)]
mod undo;

#[cfg(test)]
mod workspace {
    //! Facts about the checkout itself.

    /// The license that the manifests name is the one that lies in the root.
    #[test]
    fn the_license_is_the_one_that_the_manifests_name() {
        let license = include_str!("../../LICENSE");
        assert!(license.contains("Apache License") && license.contains("Version 2.0"));
        assert!(include_str!("../../Cargo.toml").contains("license = \"Apache-2.0\""));
    }
}
