//! Writes the good inputs where libFuzzer looks for them: `corpus/TARGET/`.

#[path = "../../corpus.rs"]
mod corpus;
#[allow(dead_code)]
#[path = "../../../it/one_file.rs"]
mod one_file;
#[allow(dead_code)]
#[path = "../../targets.rs"]
mod targets;

fn main() -> std::io::Result<()> {
    for (target, seeds) in [
        ("language", corpus::language()),
        ("settings", corpus::settings()),
        ("git_objects", corpus::git_objects()),
        ("snapshot", corpus::snapshot()),
        ("archive", corpus::archive()),
        ("blame", corpus::blame()),
        ("envelope", corpus::envelope()),
        ("keys", corpus::keys()),
        ("offer", corpus::offer()),
    ] {
        let folder = std::path::Path::new("corpus").join(target);
        std::fs::create_dir_all(&folder)?;
        for (number, seed) in seeds.iter().enumerate() {
            std::fs::write(folder.join(format!("seed-{number}")), seed)?;
        }
    }
    Ok(())
}
