//! The pure core names no file, socket, process, thread, clock or dice.

use super::{Finding, source::Source, source::words, tables::IMPURE_PATHS, tree::Tree};

/// Where the pure core lives. Its tests may do what they like.
const CORE: &str = "kvcore/src/";

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let core = tree
        .sources()
        .filter(|source| source.path.starts_with(CORE));
    core.flat_map(impure).collect()
}

fn impure(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut paths = written_paths(&source.code);
    paths.extend(imported_paths(&source.code));
    for (at, path) in paths {
        let banned = IMPURE_PATHS.iter().find(|banned| {
            let rest = path.strip_prefix(**banned);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
        });
        // `Duration` is a number with a unit; only clocks are banned.
        let is_number = path == "std::time::Duration";
        if let Some(banned) = banned
            && !is_number
            && !source.is_test(at)
        {
            let wrong = format!("the pure core names `{banned}`");
            let remedy = "take what it would give as an argument, or move the code out of kvcore";
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

/// Paths written out in the code that begin like a banned one.
fn written_paths(code: &str) -> Vec<(usize, String)> {
    let starts = IMPURE_PATHS.iter().flat_map(|banned| words(code, banned));
    let of_path = |&at: &usize| {
        let after = code[at..].trim_start_matches(|c: char| c.is_alphanumeric() || c == '_');
        !code[..at].ends_with("::") && after.starts_with("::")
    };
    let path = |at: usize| {
        let is_end = |c: char| !c.is_alphanumeric() && c != '_' && c != ':';
        let rest = &code[at..];
        let path = &rest[..rest.find(is_end).unwrap_or(rest.len())];
        (at, path.trim_end_matches(':').to_owned())
    };
    // A path that ends in `::` opens a group of imports, which `imported_paths` reads.
    let whole = |at: &usize| !path(*at).1.is_empty() && !opens_group(code, *at);
    starts.filter(of_path).filter(whole).map(path).collect()
}

fn opens_group(code: &str, at: usize) -> bool {
    let is_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    code[at..].trim_start_matches(is_path).starts_with('{')
        && code[at..]
            .split('{')
            .next()
            .is_some_and(|path| path.ends_with("::"))
}

/// Paths that `use` declarations bring in, their groups spread out.
fn imported_paths(code: &str) -> Vec<(usize, String)> {
    let mut paths = Vec::new();
    for at in words(code, "use") {
        let rest = &code[at + 3..];
        let tree = &rest[..rest.find(';').unwrap_or(rest.len())];
        let tree: String = tree.replace(" as ", "@").split_whitespace().collect();
        let mut spread = Vec::new();
        spread_out("", &tree, &mut spread);
        paths.extend(spread.into_iter().map(|path| (at, path)));
    }
    paths
}

/// `std::{fmt,fs::{self,File}}` is `std::fmt`, `std::fs`, `std::fs::File`.
fn spread_out(prefix: &str, tree: &str, out: &mut Vec<String>) {
    if let Some((path, group)) = tree.split_once('{') {
        let group = group.strip_suffix('}').unwrap_or(group);
        let prefix = format!("{prefix}{path}");
        for part in split_top(group) {
            spread_out(&prefix, part, out);
        }
    } else {
        let path = tree.split('@').next().unwrap_or(tree);
        let path = format!("{prefix}{path}");
        let path = path.trim_start_matches("::").trim_end_matches("::self");
        out.push(path.trim_end_matches("::*").to_owned());
    }
}

/// Parts between commas that no inner group holds.
fn split_top(group: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0_usize, 0);
    for (at, byte) in group.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' => depth = depth.saturating_sub(1),
            b',' if depth == 0 => {
                parts.push(&group[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&group[start..]);
    parts.retain(|part| !part.is_empty());
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<usize> {
        let mut lines: Vec<usize> = check(&Tree::of(&[("kvcore/src/a.rs", text)]))
            .iter()
            .map(|finding| finding.line)
            .collect();
        lines.sort_unstable();
        lines.dedup();
        lines
    }

    #[test]
    fn files_sockets_clocks_and_dice_are_found() {
        assert_eq!(lines("//! x\nuse std::fs;\n"), [2]);
        assert_eq!(lines("use std::{fmt, net::{self, TcpStream}};\n"), [1]);
        assert_eq!(
            lines("use std::{\n    fmt,\n    time::{Duration, Instant},\n};\n"),
            [1]
        );
        assert_eq!(lines("fn a() {}\nfn b() { std::fs::read(p); }\n"), [2]);
        assert_eq!(
            lines("fn a() { let t = std::time::SystemTime::now(); }\n"),
            [1]
        );
        assert_eq!(lines("use rand::Rng;\n"), [1]);
        assert_eq!(lines("fn a() -> u64 {\n    rand::random()\n}\n"), [2]);
        assert_eq!(lines("use tokio as runtime;\n"), [1]);
    }

    #[test]
    fn what_only_looks_like_it_is_not() {
        let pure = "use std::{fmt, time::Duration};\nuse crate::rand::thing;\n// std::fs\n\
                    fn random() -> std::time::Duration { self.rand }\nconst A: &str = \"std::fs\";\n\
                    #[cfg(test)]\nmod tests {\n    use std::fs;\n}\n";
        assert!(lines(pure).is_empty());
        assert!(check(&Tree::of(&[("kvnet/src/a.rs", "use std::fs;\n")])).is_empty());
    }
}
