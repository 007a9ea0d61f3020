//! Heads, sizes and names of files and functions.

use super::{
    Finding,
    source::Source,
    tables::{
        EMPTY_NAMES, Exception, FILE_LINES_MAX, FUNCTION_LINES_MAX, LONG_FILES, LONG_FUNCTIONS,
    },
    tree::Tree,
};

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in tree.sources() {
        findings.extend(head(source));
        findings.extend(modules(source));
    }
    findings.extend(names(tree));
    findings.extend(orphans(tree));
    findings.extend(file_sizes(tree, LONG_FILES));
    findings.extend(function_sizes(tree, LONG_FUNCTIONS));
    findings
}

fn head(source: &Source) -> Option<Finding> {
    let missing = !source.text.starts_with("//! ");
    missing.then(|| {
        let remedy = "begin with a `//!` line that says the file's duty";
        Finding::new(
            &source.path,
            1,
            "the file does not say what it is for",
            remedy,
        )
    })
}

fn names(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, _) in tree.texts() {
        for name in path.split('/') {
            let stem = name.split('.').next().unwrap_or(name);
            if EMPTY_NAMES.contains(&stem) {
                findings.push(empty_name(path, 1, stem));
            }
        }
        if path.ends_with("/mod.rs") {
            let remedy = "move it to `x.rs` beside the directory `x/`";
            findings.push(Finding::new(
                path,
                1,
                "a module's file is named mod.rs",
                remedy,
            ));
        }
    }
    findings
}

/// Files that no module declares: cargo does not compile them, and nobody notices.
fn orphans(tree: &Tree) -> Vec<Finding> {
    let undeclared = tree.sources().filter(|source| {
        let Some((directory, file)) = source.path.rsplit_once('/') else {
            return false;
        };
        let is_root = ["lib.rs", "main.rs", "build.rs"].contains(&file);
        if is_root || !format!("{directory}/").contains("/src/") || directory.ends_with("/bin") {
            return false;
        }
        let name = file.trim_end_matches(".rs");
        let beside = format!("{directory}.rs");
        let parents = [
            beside,
            format!("{directory}/lib.rs"),
            format!("{directory}/main.rs"),
        ];
        let parents = tree
            .sources()
            .filter(|parent| parents.contains(&parent.path));
        !parents.into_iter().any(|parent| declares(parent, name))
    });
    let finding = |source: &Source| {
        let remedy = "declare it with `mod` where it belongs, or delete it";
        Finding::new(&source.path, 1, "no module declares this file", remedy)
    };
    undeclared.map(finding).collect()
}

fn declares(parent: &Source, name: &str) -> bool {
    parent.code_words("mod").any(|at| {
        let rest = parent.code[at + 3..].trim_start().strip_prefix(name);
        rest.is_some_and(|rest| rest.trim_start().starts_with(';'))
    })
}

fn modules(source: &Source) -> Vec<Finding> {
    let declared = source.code_words("mod").filter_map(|at| {
        let rest = source.code[at + 3..].trim_start();
        let name = rest
            .split(|c: char| !c.is_alphanumeric() && c != '_')
            .next()?;
        let finding = || empty_name(&source.path, source.line_of(at), name);
        EMPTY_NAMES.contains(&name).then(finding)
    });
    declared.collect()
}

fn empty_name(path: &str, line: usize, name: &str) -> Finding {
    let remedy = "name it after the noun it holds";
    Finding::new(
        path,
        line,
        format!("the name `{name}` says nothing"),
        remedy,
    )
}

fn file_sizes(tree: &Tree, allowed: &[Exception]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in tree.sources() {
        let lines = source.text.lines().count();
        let exception = allowed
            .iter()
            .any(|exception| exception.path == source.path);
        if lines > FILE_LINES_MAX && !exception {
            let wrong = format!("the file has {lines} lines, at most {FILE_LINES_MAX} are allowed");
            let remedy = "split it by nouns, or record the reason in LONG_FILES";
            findings.push(Finding::new(&source.path, lines, wrong, remedy));
        }
        if lines <= FILE_LINES_MAX && exception {
            findings.push(needless(&source.path, 1, "LONG_FILES"));
        }
    }
    findings.extend(missing(tree, allowed));
    findings
}

fn function_sizes(tree: &Tree, allowed: &[Exception]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in tree.sources() {
        let functions = source.functions();
        let is_long = |lines| lines > FUNCTION_LINES_MAX;
        for function in functions.iter().filter(|function| is_long(function.lines)) {
            let matches = |e: &Exception| e.path == source.path && e.item == function.name;
            if !allowed.iter().any(matches) {
                let wrong = format!(
                    "the function `{}` has {} lines, at most {FUNCTION_LINES_MAX} are allowed",
                    function.name, function.lines
                );
                let remedy = "give its parts names, or record the reason in LONG_FUNCTIONS";
                findings.push(Finding::new(&source.path, function.line, wrong, remedy));
            }
        }
        for exception in allowed
            .iter()
            .filter(|exception| exception.path == source.path)
        {
            let named = |f: &&super::source::Function| f.name == exception.item;
            if !functions
                .iter()
                .filter(named)
                .any(|function| is_long(function.lines))
            {
                findings.push(needless(&source.path, 1, "LONG_FUNCTIONS"));
            }
        }
    }
    findings.extend(missing(tree, allowed));
    findings
}

/// An exception for something that keeps the rule.
pub(super) fn needless(path: &str, line: usize, table: &str) -> Finding {
    let wrong = format!("an exception in {table} is not needed");
    Finding::new(path, line, wrong, "take it out of xtask/src/tidy/tables.rs")
}

/// Exceptions for files that are not there.
pub(super) fn missing(tree: &Tree, allowed: &[Exception]) -> Vec<Finding> {
    let gone = allowed.iter().filter(|exception| !tree.has(exception.path));
    let finding = |exception: &Exception| {
        let wrong = format!(
            "an exception names this file, which is gone ({})",
            exception.reason
        );
        Finding::new(
            exception.path,
            1,
            wrong,
            "take it out of xtask/src/tidy/tables.rs",
        )
    };
    gone.map(finding).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(findings: &[Finding]) -> String {
        assert_eq!(findings.len(), 1, "{findings:?}");
        findings[0].to_string()
    }

    fn exception(path: &'static str, item: &'static str) -> Exception {
        Exception {
            path,
            item,
            reason: "a test",
        }
    }

    #[test]
    fn a_file_says_its_duty() {
        let source = Source::new("a.rs", "use std::fmt;\n");
        assert!(
            head(&source)
                .expect("no head")
                .to_string()
                .starts_with("a.rs:1: the file does")
        );
        assert_eq!(head(&Source::new("a.rs", "//! Keys.\n")), None);
    }

    #[test]
    fn names_say_something() {
        for path in [
            "a/src/util.rs",
            "a/src/helpers/x.rs",
            "a/tests/common/one.rs",
        ] {
            assert!(only(&names(&Tree::of(&[(path, "//! x\n")]))).contains("says nothing"));
        }
        assert!(
            only(&names(&Tree::of(&[("a/src/b/mod.rs", "")]))).contains("beside the directory")
        );
        assert!(names(&Tree::of(&[("a/src/manager_of_none.rs", "")])).is_empty());
        let source = Source::new("a.rs", "mod key;\nmod utils { }\n");
        assert!(only(&modules(&source)).starts_with("a.rs:2: the name `utils`"));
    }

    #[test]
    fn files_are_declared() {
        let lib = ("a/src/lib.rs", "//! x\npub mod one;\n");
        let one = ("a/src/one.rs", "//! x\nmod two;\n");
        let two = ("a/src/one/two.rs", "//! x\n");
        assert!(orphans(&Tree::of(&[lib, one, two, ("a/tests/three.rs", "//! x\n")])).is_empty());
        assert!(only(&orphans(&Tree::of(&[lib, two]))).contains("no module declares"));
        assert!(only(&orphans(&Tree::of(&[one, two]))).starts_with("a/src/one.rs:1: "));
    }

    #[test]
    fn files_are_short() {
        let long = "//! x\n".repeat(501);
        let tree = Tree::of(&[("a.rs", &long)]);
        assert!(only(&file_sizes(&tree, &[])).contains("has 501 lines, at most 500"));
        assert!(file_sizes(&tree, &[exception("a.rs", "")]).is_empty());
        let tree = Tree::of(&[("a.rs", "//! x\n")]);
        assert!(only(&file_sizes(&tree, &[exception("a.rs", "")])).contains("is not needed"));
        assert!(only(&file_sizes(&tree, &[exception("b.rs", "")])).contains("which is gone"));
    }

    #[test]
    fn functions_are_short() {
        let long = format!("//! x\nfn f() {{\n{}}}\n", "    g();\n".repeat(69));
        let tree = Tree::of(&[("a.rs", &long)]);
        let finding = only(&function_sizes(&tree, &[]));
        assert!(
            finding.starts_with("a.rs:2: the function `f` has 71 lines"),
            "{finding}"
        );
        assert!(function_sizes(&tree, &[exception("a.rs", "f")]).is_empty());
        let tree = Tree::of(&[("a.rs", "//! x\nfn f() {}\n")]);
        assert!(function_sizes(&tree, &[]).is_empty());
        assert!(only(&function_sizes(&tree, &[exception("a.rs", "f")])).contains("is not needed"));
    }
}
