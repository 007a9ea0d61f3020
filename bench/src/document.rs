//! A bench's part of the page of figures, and how it gets there.

use std::{fmt::Write, fs};

use anyhow::{Context, Result, bail};

use crate::{figures::Reach, settings::Settings};

/// What one bench says.
#[derive(Debug, Default)]
pub(crate) struct Section {
    begin: String,
    body: String,
}

impl Section {
    /// A section with what is compared, and how.
    pub(crate) fn new(title: &str, how: &str) -> Self {
        Self {
            begin: format!("## {title}\n\n"),
            body: format!("{}\n\n", wrapped(how)),
        }
    }

    /// Says where the figures come from.
    pub(crate) fn begin_with(&mut self, machine: &str, command: &str) {
        let _ = write!(self.begin, "    {command}\n\n{}\n\n", wrapped(machine));
    }

    /// Adds a table.
    pub(crate) fn table(&mut self, head: &[&str], rows: &[Vec<String>]) {
        let _ = writeln!(self.body, "| {} |", head.join(" | "));
        let _ = writeln!(self.body, "|{}", "---|".repeat(head.len()));
        for row in rows {
            let _ = writeln!(self.body, "| {} |", row.join(" | "));
        }
        self.body.push('\n');
    }

    /// Adds what was wanted, and whether it was so.
    pub(crate) fn reaches(&mut self, reaches: &[Reach]) {
        for reach in reaches {
            let _ = writeln!(self.body, "- {reach}");
        }
        self.body.push('\n');
    }

    /// Adds a paragraph.
    pub(crate) fn say(&mut self, text: &str) {
        let _ = write!(self.body, "{}\n\n", wrapped(text));
    }

    /// The section between its marks.
    pub(crate) fn text(&self, name: &str) -> String {
        let (open, close) = marks(name);
        format!("{open}\n\n{}{}{close}\n", self.begin, self.body)
    }
}

fn marks(name: &str) -> (String, String) {
    (
        format!("<!-- bench {name} -->"),
        format!("<!-- end of bench {name} -->"),
    )
}

/// Lines of at most 100 characters.
fn wrapped(text: &str) -> String {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let last = lines.last_mut().expect("there is one");
        if !last.is_empty() && last.chars().count() + 1 + word.chars().count() > 100 {
            lines.push(word.to_owned());
        } else {
            if !last.is_empty() {
                last.push(' ');
            }
            last.push_str(word);
        }
    }
    lines.join("\n")
}

/// Puts the section into the page, in the place of the one it had.
pub(crate) fn write(_: &Settings, name: &str, section: &Section) -> Result<()> {
    let path = Settings::page();
    let page = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let page = placed(&page, name, &section.text(name))?;
    fs::write(&path, page).with_context(|| path.display().to_string())?;
    eprintln!("written to {}", path.display());
    Ok(())
}

fn placed(page: &str, name: &str, text: &str) -> Result<String> {
    let (open, close) = marks(name);
    match (page.find(&open), page.find(&close)) {
        (Some(start), Some(end)) if start < end => {
            let rest = page[end + close.len()..].trim_start_matches('\n');
            let gap = if rest.is_empty() { "" } else { "\n" };
            Ok(format!("{}{text}{gap}{rest}", &page[..start]))
        }
        (None, None) => Ok(format!("{}\n\n{text}", page.trim_end())),
        _ => {
            bail!("the marks of {name} in the page are broken: {open} and {close} stand around it")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_takes_the_place_of_its_last() {
        let first = Section::new("One", "a").text("one");
        let page = placed("# Page\n", "one", &first).unwrap();
        let page = placed(&page, "two", &Section::new("Two", "b").text("two")).unwrap();
        let again = placed(&page, "one", &Section::new("One", "c").text("one")).unwrap();
        assert!(
            again.contains("\nc\n") && !again.contains("\na\n"),
            "{again}"
        );
        assert!(again.find("## One") < again.find("## Two"));
        assert_eq!(placed(&again, "one", &first).unwrap(), page);
        assert!(placed("<!-- bench one -->", "one", &first).is_err());
    }
}
