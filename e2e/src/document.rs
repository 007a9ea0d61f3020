//! Commands in a page of documentation: what is fenced as `sh` or `console`, in order.
//!
//! In a block of `console`, lines after `$ ` are commands, the others are what they print. A comment
//! `<!-- not run: WHY -->` right above a block keeps it from being run.

/// A block of commands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Block {
    /// Number of its first line, counted from 1.
    pub(crate) line: usize,
    /// What is to be run.
    pub(crate) script: String,
    /// Lines that are printed, in this order, maybe with others between.
    pub(crate) printed: Vec<String>,
    /// Why it is not run, if it is not.
    pub(crate) not_run: Option<String>,
}

/// The blocks of a page.
pub(crate) fn blocks(page: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut inside: Option<(Kind, Block)> = None;
    let mut not_run = None;
    for (number, line) in (1..).zip(page.lines()) {
        match (&mut inside, Fence::of(line)) {
            (None, Some(Fence::Begins(kind))) => {
                let block = Block {
                    line: number + 1,
                    not_run: not_run.take(),
                    ..Block::default()
                };
                inside = Some((kind, block));
            }
            (Some((kind, block)), None) => kind.add(block, line),
            (Some(_), Some(_)) => {
                blocks.extend(inside.take().map(|(_, block)| block));
            }
            (None, _) if line.trim().is_empty() => {}
            (None, _) => not_run = reason(line),
        }
    }
    blocks.retain(|block| !block.script.is_empty());
    blocks
}

/// Of `<!-- not run: WHY -->`.
fn reason(line: &str) -> Option<String> {
    let rest = line.trim().strip_prefix("<!-- not run: ")?;
    Some(rest.strip_suffix("-->")?.trim().to_owned())
}

/// The first of these lines that is not among what was printed, all of them in order. Spaces between
/// words do not matter, nor how old something is.
pub(crate) fn missing<'a>(wanted: &'a [String], printed: &str) -> Option<&'a str> {
    let mut lines = printed.lines().map(words);
    let mut wanted = wanted.iter();
    let missing = wanted.find(|line| {
        let line = words(line);
        !lines.any(|printed| printed == line)
    });
    missing.map(String::as_str)
}

fn words(line: &str) -> Vec<&str> {
    let each = line.split_whitespace();
    each.map(|word| if is_age(word) { "AGE" } else { word })
        .collect()
}

/// Such as `25s` or `2m10s`.
fn is_age(word: &str) -> bool {
    word.starts_with(|first: char| first.is_ascii_digit())
        && word.ends_with(['s', 'm', 'h', 'd'])
        && word
            .chars()
            .all(|each| each.is_ascii_digit() || "smhd".contains(each))
}

/// What a line of three backticks says.
enum Fence {
    Begins(Kind),
    Ends,
}

impl Fence {
    fn of(line: &str) -> Option<Self> {
        let language = line.trim().strip_prefix("```")?;
        Some(match language {
            "sh" => Self::Begins(Kind::Script),
            "console" => Self::Begins(Kind::Console),
            "" => Self::Ends,
            _ => Self::Begins(Kind::Other),
        })
    }
}

enum Kind {
    Script,
    Console,
    Other,
}

impl Kind {
    fn add(&self, block: &mut Block, line: &str) {
        let command = match self {
            Self::Other => return,
            Self::Script => Some(line),
            Self::Console => line.strip_prefix("$ "),
        };
        match command {
            Some(command) => block.script.extend([command, "\n"]),
            None => block.printed.push(line.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# Title\n\n```sh\none \\\n  two\n```\ntext\n\n```yaml\na: b\n```\n\
                        <!-- not run: needs Docker -->\n\n```sh\nthree\n```\n\n```console\n$ four\n\
                        NAME   AGE\n$ five\n```\n";

    #[test]
    fn commands_are_found_in_order_with_what_they_print() {
        let blocks = blocks(PAGE);
        let scripts: Vec<_> = blocks.iter().map(|block| &*block.script).collect();
        assert_eq!(scripts, ["one \\\n  two\n", "three\n", "four\nfive\n"]);
        let lines: Vec<_> = blocks.iter().map(|block| block.line).collect();
        assert_eq!(lines, [4, 15, 19]);
        assert_eq!(blocks[2].printed, ["NAME   AGE"]);
    }

    #[test]
    fn a_comment_keeps_one_block_from_being_run() {
        let reasons: Vec<_> = blocks(PAGE)
            .into_iter()
            .map(|block| block.not_run)
            .collect();
        assert_eq!(reasons, [None, Some("needs Docker".to_owned()), None]);
        let far = "<!-- not run: x -->\ntext\n```sh\none\n```\n";
        assert_eq!(blocks(far)[0].not_run, None);
    }

    #[test]
    fn what_is_printed_may_have_other_spaces_other_ages_and_more_lines() {
        let wanted = ["NAME   READY   AGE", "demo   3/3     25s"].map(str::to_owned);
        let printed = "a line\nNAME  READY  AGE\nanother\ndemo  3/3  2m10s\n";
        assert_eq!(missing(&wanted, printed), None);
        let other = printed.replace("3/3", "2/3");
        assert_eq!(missing(&wanted, &other), Some("demo   3/3     25s"));
        let turned = "demo 3/3 1s\nNAME READY AGE\n";
        assert_eq!(missing(&wanted, turned), Some("demo   3/3     25s"));
    }
}
