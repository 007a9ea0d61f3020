//! `cargo xtask tidy`: the rules of this repository that no compiler knows.
//!
//! Every rule is a function from the files (or the crates) to findings, so that its tests can hand
//! it files that break it. What is allowed in spite of a rule stands in `tables`, with the reason.

mod arrows;
mod links;
mod purity;
mod safety;
mod shape;
mod source;
mod tables;
mod tree;
mod words;

use std::{fmt, path::Path};

use anyhow::{Result, bail};

use tree::Tree;

/// One breach of one rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Finding {
    path: String,
    line: usize,
    wrong: String,
    remedy: String,
}

impl Finding {
    fn new(
        path: impl Into<String>,
        line: usize,
        wrong: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            path: path.into(),
            line,
            wrong: wrong.into(),
            remedy: remedy.into(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}:{}: {}; {}",
            self.path, self.line, self.wrong, self.remedy
        )
    }
}

/// Checks all rules and prints every finding.
pub(crate) fn run(root: &Path) -> Result<()> {
    let tree = Tree::read(root)?;
    let mut findings = check_files(&tree);
    findings.extend(arrows::check(&arrows::read(root)?));
    findings.sort();
    for finding in &findings {
        println!("{finding}");
    }
    if !findings.is_empty() {
        bail!("tidy: {} findings", findings.len());
    }
    println!("tidy: {} files, nothing to say", tree.len());
    Ok(())
}

fn check_files(tree: &Tree) -> Vec<Finding> {
    let rules = [
        shape::check,
        safety::check,
        purity::check,
        words::check,
        links::check,
    ];
    rules.iter().flat_map(|rule| rule(tree)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_says_where_what_and_what_to_do() {
        let finding = Finding::new("a.rs", 3, "it is too long", "split it");
        assert_eq!(finding.to_string(), "a.rs:3: it is too long; split it");
    }
}
