//! Words that belong in no file of this repository.

use super::File;

/// Paths of one machine and hosts of package registries, in two halves so that this
/// file does not contain them.
const REFUSED: [(&str, &str); 8] = [
    ("/wo", "rk/"),
    ("/ro", "ot/"),
    ("/ho", "me/"),
    ("registry.npm", "js.org"),
    ("index.crates", ".io"),
    ("static.crates", ".io"),
    ("pypi.org", "/simple"),
    ("proxy.golang", ".org"),
];

/// Finds such words in any file.
pub(super) fn of_one_machine(files: &[File]) -> Vec<String> {
    let refused: Vec<String> = REFUSED.iter().map(|(first, second)| format!("{first}{second}")).collect();
    let mut findings = Vec::new();
    for file in files {
        for (number, line) in (1..).zip(file.text.lines()) {
            findings.extend(refused.iter().filter(|word| line.contains(*word)).map(|word| file.at(number, word)));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::{File, of_one_machine};

    #[test]
    fn a_machine_path_is_found() {
        let path = ["/ho", "me/me/x"].concat();
        let file = File { path: "README.md".into(), text: format!("fine\nsee {path}") };
        assert_eq!(of_one_machine(&[file]).len(), 1);
    }
}
