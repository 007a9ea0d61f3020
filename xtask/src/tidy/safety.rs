//! Code that may fail without a word, code left unfinished, and unsafe code.

use super::{
    Finding,
    shape::{missing, needless},
    source::Source,
    tables::{Exception, IGNORED_TESTS, UNSAFE_FILES},
    tree::Tree,
};

/// How many lines may lie between an unsafe block and the comment that justifies it.
const SAFETY_DISTANCE_MAX: usize = 3;

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in tree.sources() {
        findings.extend(unwraps(source));
        findings.extend(unfinished(source));
        findings.extend(ignored(source, IGNORED_TESTS));
        findings.extend(unsafe_code(source, UNSAFE_FILES));
        findings.extend(unjustified(source));
    }
    findings.extend(missing(tree, IGNORED_TESTS));
    findings.extend(missing(tree, UNSAFE_FILES));
    findings
}

fn unwraps(source: &Source) -> Vec<Finding> {
    let places = source.code.match_indices(".unwrap()").map(|(at, _)| at);
    let places = places.filter(|&at| !source.is_test(at));
    let finding = |at| {
        let remedy = "handle it, or say with `expect` why it cannot fail";
        Finding::new(
            &source.path,
            source.line_of(at),
            "a bare unwrap outside tests",
            remedy,
        )
    };
    places.map(finding).collect()
}

fn unfinished(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    for word in ["todo!", "unimplemented!"] {
        for at in source.code_words(word) {
            let wrong = format!("`{word}` is code that is not there");
            let remedy = "write it, or leave out what would call it";
            findings.push(Finding::new(
                &source.path,
                source.line_of(at),
                wrong,
                remedy,
            ));
        }
    }
    findings
}

fn ignored(source: &Source, allowed: &[Exception]) -> Vec<Finding> {
    let places: Vec<usize> = source
        .code
        .match_indices("#[ignore")
        .map(|(at, _)| at)
        .collect();
    let listed = allowed
        .iter()
        .any(|exception| exception.path == source.path);
    match (listed, places.is_empty()) {
        (true, true) => vec![needless(&source.path, 1, "IGNORED_TESTS")],
        (true, false) => Vec::new(),
        (false, _) => {
            let finding = |&at: &usize| {
                let remedy = "make it run, or record the reason in IGNORED_TESTS";
                Finding::new(
                    &source.path,
                    source.line_of(at),
                    "a test is ignored",
                    remedy,
                )
            };
            places.iter().map(finding).collect()
        }
    }
}

fn unsafe_code(source: &Source, allowed: &[Exception]) -> Vec<Finding> {
    let words = ["unsafe", "allow(unsafe_code)"];
    let places = words.iter().flat_map(|word| source.code_words(word));
    let places: Vec<usize> = places.collect();
    let listed = allowed
        .iter()
        .any(|exception| exception.path == source.path);
    if listed && places.is_empty() {
        return vec![needless(&source.path, 1, "UNSAFE_FILES")];
    }
    if listed {
        return Vec::new();
    }
    let finding = |&at: &usize| {
        let remedy = "write it safely, or record the reason in UNSAFE_FILES";
        let wrong = "unsafe code outside the files that may have it";
        Finding::new(&source.path, source.line_of(at), wrong, remedy)
    };
    places.iter().map(finding).collect()
}

/// Unsafe blocks and implementations without a `SAFETY:` comment right above.
fn unjustified(source: &Source) -> Vec<Finding> {
    let comments: Vec<&str> = source.comments.lines().collect();
    let mut findings = Vec::new();
    for at in source.code_words("unsafe") {
        let rest = source.code[at + "unsafe".len()..].trim_start();
        let needs_reason = rest.starts_with('{') || rest.starts_with("impl");
        let line = source.line_of(at);
        if needs_reason && !is_justified(&comments, line) {
            let remedy = "say in a `// SAFETY:` comment right above why it is sound";
            let wrong = "unsafe code without a reason";
            findings.push(Finding::new(&source.path, line, wrong, remedy));
        }
    }
    findings
}

/// Whether a comment that begins with `SAFETY:` ends at most three lines above `line` (from 1).
fn is_justified(comments: &[&str], line: usize) -> bool {
    let is_comment = |&at: &usize| !comments[at - 1].trim().is_empty();
    let nearest = (line.saturating_sub(SAFETY_DISTANCE_MAX).max(1)..line)
        .rev()
        .find(is_comment);
    let Some(last) = nearest else {
        return false;
    };
    let mut block = (1..=last).rev().take_while(is_comment);
    block.any(|at| comments[at - 1].contains("SAFETY:"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTED: &[Exception] = &[Exception {
        path: "a.rs",
        item: "",
        reason: "a test",
    }];

    fn lines(findings: &[Finding]) -> Vec<usize> {
        findings.iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn a_bare_unwrap_belongs_to_tests() {
        let text = "fn a() {\n    x.unwrap();\n}\n// x.unwrap()\nconst S: &str = \".unwrap()\";\n\
                    #[cfg(test)]\nmod tests {\n    fn b() { x.unwrap(); }\n}\n";
        assert_eq!(lines(&unwraps(&Source::new("x/src/a.rs", text))), [2]);
        assert!(unwraps(&Source::new("x/tests/a.rs", text)).is_empty());
    }

    #[test]
    fn nothing_is_left_unfinished() {
        let text = "fn a() { todo!() }\nfn b() {\n    unimplemented!(\"later\")\n}\n// todo!\n";
        assert_eq!(lines(&unfinished(&Source::new("a.rs", text))), [1, 3]);
    }

    #[test]
    fn ignored_tests_are_listed() {
        let source = Source::new("a.rs", "#[test]\n#[ignore = \"slow\"]\nfn a() {}\n");
        assert_eq!(lines(&ignored(&source, &[])), [2]);
        assert!(ignored(&source, LISTED).is_empty());
        let source = Source::new("a.rs", "#[test]\nfn a() {}\n");
        assert!(
            ignored(&source, LISTED)[0]
                .to_string()
                .contains("is not needed")
        );
    }

    #[test]
    fn unsafe_code_stays_where_it_may_be() {
        let source = Source::new(
            "a.rs",
            "#![allow(unsafe_code)]\n\nfn a() { unsafe { b() } }\n",
        );
        let mut found = lines(&unsafe_code(&source, &[]));
        found.sort_unstable();
        assert_eq!(found, [1, 3]);
        assert!(unsafe_code(&source, LISTED).is_empty());
        let source = Source::new("a.rs", "#![deny(unsafe_code)] // unsafe\n");
        assert!(unsafe_code(&source, &[]).is_empty());
        assert!(
            unsafe_code(&source, LISTED)[0]
                .to_string()
                .contains("is not needed")
        );
    }

    #[test]
    fn unsafe_code_says_why_it_is_sound() {
        let text = "// SAFETY: one\n// and two.\nunsafe impl Send for A {}\n\n\n\n\
                    fn a() {\n    unsafe { b() }\n}\nunsafe fn c() {}\n";
        assert_eq!(lines(&unjustified(&Source::new("a.rs", text))), [8]);
        let near = "// SAFETY: so.\nlet x =\n    y.z(\n        unsafe { b() });\n";
        assert!(unjustified(&Source::new("a.rs", near)).is_empty());
        let far = "// SAFETY: so.\nlet x =\n    y\n    .z(\n    unsafe { b() });\n";
        assert_eq!(lines(&unjustified(&Source::new("a.rs", far))), [5]);
    }
}
