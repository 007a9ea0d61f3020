//! The chart's README, made from the comments of its values.

use std::fmt::Write as _;

use anyhow::{Result, ensure};

/// A value: where it stands, what it is unless set, and what it is for.
struct Value {
    path: String,
    default: String,
    what: String,
}

/// The page.
pub(super) fn page(values: &str) -> Result<String> {
    let mut page = String::from(
        "# The kvasir chart\n\n\
         Written by `cargo xtask generate` from `values.yaml`: change it there.\n\n    \
         helm install kvasir charts/kvasir --namespace kvasir-system --create-namespace\n\n\
         It installs the operator, its rights and the definition of `KvCluster`, which an upgrade brings up\n\
         to date and an uninstallation leaves. What a `KvCluster` may say is in\n\
         [its reference](../../docs/reference/kvcluster.md).\n\n\
         | value | default | what |\n|---|---|---|\n",
    );
    for value in read(values)? {
        let _ = writeln!(
            page,
            "| `{}` | `{}` | {} |",
            value.path, value.default, value.what
        );
    }
    Ok(page)
}

/// Every value that a comment beginning with `# --` stands above.
fn read(values: &str) -> Result<Vec<Value>> {
    let (mut found, mut section, mut comment) = (Vec::new(), String::new(), String::new());
    for line in values.lines() {
        let text = line.trim_start();
        if let Some(begins) = text.strip_prefix("# -- ") {
            begins.clone_into(&mut comment);
        } else if let Some(more) = text.strip_prefix("# ")
            && !comment.is_empty()
        {
            let _ = write!(comment, " {more}");
        } else if let Some((name, default)) = text.split_once(':') {
            let is_inner = line.starts_with("  ");
            if comment.is_empty() {
                if !is_inner {
                    name.clone_into(&mut section);
                }
                continue;
            }
            let path = if is_inner {
                format!("{section}.{name}")
            } else {
                name.to_owned()
            };
            let default = match default.trim() {
                "" => "see values.yaml",
                default => default,
            };
            found.push(Value {
                path,
                default: default.to_owned(),
                what: std::mem::take(&mut comment),
            });
        }
    }
    ensure!(
        !found.is_empty(),
        "values.yaml has no value with a comment that begins with `# --`"
    );
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_listed_with_their_sections_and_the_whole_comment() {
        let values = "image:\n  # -- Where it\n  # is.\n  repository: a/b\n\n# -- How many.\nreplicas: 1\n\
                      # -- Room.\nresources:\n  limits:\n    memory: 1Gi\n";
        let read: Vec<_> = read(values)
            .expect("some")
            .into_iter()
            .map(|value| (value.path, value.default, value.what))
            .collect();
        let row = |path: &str, default: &str, what: &str| {
            (path.to_owned(), default.to_owned(), what.to_owned())
        };
        assert_eq!(
            read,
            [
                row("image.repository", "a/b", "Where it is."),
                row("replicas", "1", "How many."),
                row("resources", "see values.yaml", "Room."),
            ]
        );
    }
}
