//! Words that do not belong into the repository.

use super::{
    Finding,
    source::words,
    tables::{BANNED_WORDS, BannedWord, Where},
    tree::{Tree, has_extension},
};

/// The table of the words itself.
const TABLE: &str = "xtask/src/tidy/tables.rs";

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in tree.sources().filter(|source| source.path != TABLE) {
        findings.extend(find(
            &source.path,
            &source.comments,
            &[Where::Comments, Where::Prose],
        ));
    }
    for (path, text) in tree.texts().filter(|&(path, _)| path != TABLE) {
        if has_extension(path, "md") {
            findings.extend(find(path, text, &[Where::Prose]));
        }
        findings.extend(find(path, text, &[Where::Everywhere]));
    }
    findings
}

fn find(path: &str, text: &str, places: &[Where]) -> Vec<Finding> {
    let banned = BANNED_WORDS
        .iter()
        .filter(|banned| places.contains(&banned.place));
    let mut findings = Vec::new();
    for BannedWord { word, remedy, .. } in banned {
        for at in words(text, word) {
            let line = text[..at].matches('\n').count() + 1;
            let wrong = format!("`{word}` does not belong here");
            findings.push(Finding::new(path, line, wrong, *remedy));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(path: &str, text: &str) -> Vec<usize> {
        let findings = check(&Tree::of(&[(path, text)]));
        findings.iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn unfinished_comments_are_found() {
        for word in ["TODO", "FIXME", "XXX"] {
            let text = format!("//! x\nfn a() {{}} // {word}: later\n");
            assert_eq!(lines("a.rs", &text), [2]);
        }
        assert!(lines("a.rs", "const MARK: &str = \"TODO\";\n").is_empty());
    }

    #[test]
    fn places_of_one_machine_and_hosts_are_found_everywhere() {
        for word in [concat!("/ho", "me/me/x"), concat!("ghcr", ".io/a/b")] {
            assert_eq!(lines("a.yml", &format!("one: 1\ntwo: {word}\n")), [2]);
            assert_eq!(
                lines("a.rs", &format!("const A: &str = \"{word}\";\n")),
                [1]
            );
        }
    }

    #[test]
    fn prose_is_plain() {
        assert_eq!(lines("a.md", "# A\n\nblazing fast\n"), [3]);
        assert!(lines("a.txt", "blazing\n").is_empty());
    }
}
