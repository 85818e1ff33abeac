//! The models that are measured.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// How many promises one server has: a document has 16 MiB at most.
const PER_SERVER: usize = 10_000;

/// A model of that many files of 1 KiB with an expression in each, and the directory where they belong.
pub(crate) fn files(below: &Path, count: usize) -> (PathBuf, PathBuf) {
    let (model, data) = (below.join(format!("model-{count}")), below.join(format!("data-{count}")));
    if model.exists() {
        return (model, data);
    }
    fs::create_dir_all(&data).unwrap();
    let servers: Vec<String> =
        (0..count.div_ceil(PER_SERVER)).map(|it| format!("server{it}")).collect();
    skeleton(&model, &servers);
    for (at, server) in servers.iter().enumerate() {
        let path = model.join(format!("servers/{server}.yaml"));
        let mut file = std::io::BufWriter::new(fs::File::create(path).unwrap());
        writeln!(file, "server: {server}\nfiles:").unwrap();
        for number in at * PER_SERVER..count.min((at + 1) * PER_SERVER) {
            let path = format!("{}/{number:06}.conf", data.display());
            let head = format!("file {number} of {{{{ node.name }}}} ");
            let content = format!(
                "{head}{}",
                "x".repeat(1024 - 1 - head.len() + "{{ node.name }}".len() - "node1".len())
            );
            writeln!(file, "  {path}: {{ mode: \"0644\", content: \"{content}\\n\" }}").unwrap();
        }
        file.flush().unwrap();
    }
    (model, data)
}

/// A directory of 20,000 entries, and a model that promises owner and modes of all of them.
pub(crate) fn tree(below: &Path) -> (PathBuf, PathBuf) {
    let (model, data) = (below.join("model-tree"), below.join("tree"));
    entries(&data, "content\n");
    skeleton(&model, &["tree".to_owned()]);
    promise_tree(&model, &data, "");
    (model, data)
}

/// A model that promises 20,000 entries with what is in them, 1 KiB in each file, and the directory where they
/// belong.
pub(crate) fn tree_of_contents(below: &Path) -> (PathBuf, PathBuf) {
    let (model, data) = (below.join("model-contents"), below.join("contents"));
    entries(&model.join("files/tree"), &"x".repeat(1024));
    skeleton(&model, &["tree".to_owned()]);
    promise_tree(&model, &data, ", source: files/tree");
    (model, data)
}

fn entries(data: &Path, content: &str) {
    for folder in 0..200 {
        let folder = data.join(format!("{folder:03}"));
        fs::create_dir_all(&folder).unwrap();
        for file in 0..99 {
            fs::write(folder.join(format!("{file:02}")), content).unwrap();
        }
    }
}

fn promise_tree(model: &Path, data: &Path, rest: &str) {
    let server = format!(
        "server: tree\ndirectories:\n  {}: {{ owner: root, group: root, mode: \"u=rwX,go=rX\", \
         recurse: true{rest} }}\n",
        data.display()
    );
    fs::write(model.join("servers/tree.yaml"), server).unwrap();
}

fn skeleton(model: &Path, servers: &[String]) {
    fs::create_dir_all(model.join("servers")).unwrap();
    fs::create_dir_all(model.join("environments")).unwrap();
    fs::write(model.join("model.yaml"), "model: bench\nformat: 1\n").unwrap();
    let environment =
        format!("environment: test\nnodes:\n  node1: {{ servers: [{}] }}\n", servers.join(", "));
    fs::write(model.join("environments/test.yaml"), environment).unwrap();
}
