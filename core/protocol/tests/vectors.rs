//! What holds for every vector file: see tests/vectors/README.md.

use std::{collections::BTreeSet, fs, path::Path};

use serde_json::Value;

#[test]
fn cases_have_names_of_their_own_and_cite_sections_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let protocol = fs::read_to_string(root.join("docs/protocol.md")).expect("the protocol");
    let readme = fs::read_to_string(root.join("tests/vectors/README.md")).expect("the format");
    let headings = protocol.lines().filter(|line| line.starts_with('#'));
    let sections: BTreeSet<&str> =
        headings.filter_map(|line| line.split_whitespace().nth(1)).map(|number| number.trim_end_matches('.')).collect();

    let files = fs::read_dir(root.join("tests/vectors")).expect("vectors").map(|entry| entry.expect("a file").path());
    let files: Vec<_> = files.filter(|path| path.extension().is_some_and(|extension| extension == "json")).collect();
    assert!(!files.is_empty());
    for path in files {
        let file = path.file_name().and_then(|name| name.to_str()).expect("a name");
        assert!(readme.contains(&format!("## `{file}`")), "README.md does not describe {file}");
        let text = fs::read_to_string(&path).expect("text");
        let cases: Vec<Value> = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{file}: {error}"));
        let mut names = BTreeSet::new();
        for case in &cases {
            let name = case["name"].as_str().unwrap_or_else(|| panic!("{file}: a case without a name: {case}"));
            assert!(names.insert(name), "{file}: {name:?} is there twice");
            let section = case["spec"].as_str().unwrap_or_else(|| panic!("{file}: {name:?} cites nothing"));
            assert!(sections.contains(section), "{file}: {name:?} cites section {section}");
        }
    }
}
