//! Links and paths in Markdown lead to files and headings that are there.

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

use super::{
    Finding,
    tree::{Tree, has_extension},
};

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let pages = tree.texts().filter(|(path, _)| has_extension(path, "md"));
    pages
        .flat_map(|(path, text)| check_page(tree, path, text))
        .collect()
}

fn check_page(tree: &Tree, page: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (event, range) in Parser::new_ext(text, Options::ENABLE_TABLES).into_offset_iter() {
        let dead = match &event {
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                dead_link(tree, page, dest_url)
            }
            Event::Code(code) => dead_path(tree, code),
            _ => None,
        };
        if let Some((wrong, remedy)) = dead {
            let line = text[..range.start].matches('\n').count() + 1;
            findings.push(Finding::new(page, line, wrong, remedy));
        }
    }
    findings
}

type Dead = Option<(String, String)>;

fn dead_link(tree: &Tree, page: &str, link: &str) -> Dead {
    if link.contains("://") || link.starts_with("mailto:") {
        return None; // Another site's business.
    }
    let (file, anchor) = link
        .split_once('#')
        .map_or((link, None), |(f, a)| (f, Some(a)));
    let Some(target) = resolve(page, file) else {
        return Some((format!("the link {link} leaves the repository"), relative()));
    };
    if !tree.has(&target) {
        return Some((format!("the link {link} leads to no file"), relative()));
    }
    let (anchor, text) = (anchor?, tree.text(&target)?);
    let known = anchors(text);
    if known.iter().any(|heading| heading == anchor) {
        return None;
    }
    let remedy = format!("its headings are {}", known.join(" "));
    Some((format!("{target} has no heading #{anchor}"), remedy))
}

fn relative() -> String {
    "write the path from this file's directory".to_owned()
}

/// A path in code style that looks like one of this repository, and is none.
fn dead_path(tree: &Tree, code: &str) -> Dead {
    let extensions = ["rs", "md", "toml", "yml"];
    let looks_like_file =
        code.contains('/') && extensions.iter().any(|end| has_extension(code, end));
    let plain = code
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c));
    let first = code.split('/').next().unwrap_or_default();
    if !plain || !(looks_like_file || code.ends_with('/')) || !tree.has(first) || first.is_empty() {
        return None;
    }
    let dead = (!tree.has(code)).then(|| format!("there is no {code}"))?;
    Some((dead, "name the file as it is called now".to_owned()))
}

/// The path from the root that a relative link of `page` means; `None` above the root.
fn resolve(page: &str, link: &str) -> Option<String> {
    if link.is_empty() {
        return Some(page.to_owned());
    }
    if link.starts_with('/') {
        return None;
    }
    let mut names: Vec<&str> = page.split('/').collect();
    names.pop();
    for name in link.split('/') {
        match name {
            "" | "." => {}
            ".." => {
                names.pop()?;
            }
            name => names.push(name),
        }
    }
    Some(names.join("/"))
}

/// The anchors of a page's headings, made as GitHub makes them.
fn anchors(text: &str) -> Vec<String> {
    let mut anchors: Vec<String> = Vec::new();
    let mut heading: Option<String> = None;
    for event in Parser::new_ext(text, Options::ENABLE_TABLES) {
        match event {
            Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
            Event::End(TagEnd::Heading(_)) => {
                let anchor = anchor(&heading.take().unwrap_or_default());
                let same = |other: &&String| {
                    other
                        .trim_end_matches(|c: char| c.is_ascii_digit())
                        .trim_end_matches('-')
                        == anchor
                        || **other == anchor
                };
                match anchors.iter().filter(same).count() {
                    0 => anchors.push(anchor),
                    repeated => anchors.push(format!("{anchor}-{repeated}")),
                }
            }
            Event::Text(text) | Event::Code(text) => {
                if let Some(heading) = &mut heading {
                    heading.push_str(&text);
                }
            }
            _ => {}
        }
    }
    anchors
}

fn anchor(heading: &str) -> String {
    let kept = heading.to_lowercase();
    let kept = kept
        .chars()
        .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# One page\n\n## R1: `Get` & put\n\n## Twice\n\n## Twice\n";

    fn findings(text: &str) -> Vec<String> {
        let files = [
            ("docs/a.md", text),
            ("docs/b.md", PAGE),
            ("README.md", ""),
            ("kvcore/src/lib.rs", "//! x\n"),
        ];
        check(&Tree::of(&files))
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn good_links_are_left_alone() {
        let text = "# A\n[1](b.md) [2](../README.md) [3](b.md#r1-get--put) [4](#a) [5](../kvcore/)\n\
                    [6](https://example.org/x) [7](b.md#twice-1) `kvcore/src/lib.rs` `kvcore/` \
                    `a/b.rs` `x`\n";
        assert_eq!(findings(text), [""; 0]);
    }

    #[test]
    fn dead_links_are_found() {
        let dead = |text: &str, wrong: &str| {
            let found = findings(&format!("# A\n\n{text}\n"));
            assert_eq!(found.len(), 1, "{text}: {found:?}");
            assert!(
                found[0].starts_with("docs/a.md:3: ") && found[0].contains(wrong),
                "{found:?}"
            );
        };
        dead("[1](c.md)", "the link c.md leads to no file");
        dead("![1](c.png)", "the link c.png leads to no file");
        dead("[1](b.md#three)", "docs/b.md has no heading #three");
        dead("[1](#b)", "docs/a.md has no heading #b");
        dead("[1](../../x.md)", "leaves the repository");
        dead("[1](/README.md)", "leaves the repository");
        dead("[1][one]\n\n[one]: gone.md", "gone.md leads to no file");
        dead("see `kvcore/src/gone.rs`", "there is no kvcore/src/gone.rs");
        dead("see `kvcore/gone/`", "there is no kvcore/gone/");
    }
}
