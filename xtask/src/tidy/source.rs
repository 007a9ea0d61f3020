//! A Rust file split into code and comments, so that rules never trip over a string.

mod lexer;

use std::ops::Range;

/// A Rust file.
#[derive(Debug)]
pub(super) struct Source {
    /// Path from the repository's root.
    pub path: String,
    /// The file as it is.
    pub text: String,
    /// The file with comments and literals blanked out; every byte keeps its place.
    pub code: String,
    /// The file with all but comments blanked out.
    pub comments: String,
    /// Byte ranges of modules that are only compiled for tests.
    test_modules: Vec<Range<usize>>,
    line_starts: Vec<usize>,
}

/// A function with a body.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Function {
    /// Its name.
    pub name: String,
    /// The line of its `fn`, from 1.
    pub line: usize,
    /// Lines from there to its closing brace.
    pub lines: usize,
}

impl Source {
    /// Splits a file.
    pub(super) fn new(path: &str, text: &str) -> Self {
        let (code, comments) = lexer::split(text);
        let test_modules = test_modules(&code);
        let newlines = text.bytes().enumerate().filter(|&(_, byte)| byte == b'\n');
        let line_starts = std::iter::once(0)
            .chain(newlines.map(|(at, _)| at + 1))
            .collect();
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
            code,
            comments,
            test_modules,
            line_starts,
        }
    }

    /// The line of a byte, from 1.
    pub(super) fn line_of(&self, at: usize) -> usize {
        self.line_starts.partition_point(|&start| start <= at)
    }

    /// Whether the byte belongs to a test: a test module, or a file of tests.
    pub(super) fn is_test(&self, at: usize) -> bool {
        let names: Vec<&str> = self.path.split('/').collect();
        let in_test_file = names
            .iter()
            .any(|&name| name == "tests" || name == "tests.rs");
        in_test_file || self.test_modules.iter().any(|module| module.contains(&at))
    }

    /// Places in the code where `word` stands by itself.
    pub(super) fn code_words<'a>(&'a self, word: &'a str) -> impl Iterator<Item = usize> + 'a {
        words(&self.code, word)
    }

    /// The functions of the file, in the order of their beginnings.
    pub(super) fn functions(&self) -> Vec<Function> {
        self.code_words("fn")
            .filter_map(|at| self.function_at(at))
            .collect()
    }

    fn function_at(&self, at: usize) -> Option<Function> {
        let rest = self.code[at + 2..].trim_start();
        let name: String = rest.chars().take_while(|&c| is_word(c)).collect();
        if name.is_empty() {
            return None; // A type such as `fn(u8) -> u8`.
        }
        let open = body_start(&self.code, at)?;
        let close = closing_brace(&self.code, open)?;
        let line = self.line_of(at);
        let lines = self.line_of(close) - line + 1;
        Some(Function { name, line, lines })
    }
}

/// Places in `text` where `word` stands by itself, not as part of a longer one.
pub(super) fn words<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let part_of_word = |at: usize| {
        let before = text[..at].chars().next_back().is_some_and(is_word);
        let after = text[at + word.len()..].chars().next().is_some_and(is_word);
        let starts = word.chars().next().is_some_and(is_word);
        let ends = word.chars().next_back().is_some_and(is_word);
        before && starts || after && ends
    };
    let places = text.match_indices(word).map(|(at, _)| at);
    places.filter(move |&at| !part_of_word(at))
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The brace that opens the body of the function declared at `at`; `None` for one without.
fn body_start(code: &str, at: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for (offset, byte) in code.bytes().enumerate().skip(at) {
        match byte {
            b'(' | b'[' => depth += 1,
            b')' | b']' => depth = depth.saturating_sub(1),
            b'{' if depth == 0 => return Some(offset),
            b';' if depth == 0 => return None,
            _ => {}
        }
    }
    None
}

/// The brace that closes the one at `open`.
fn closing_brace(code: &str, open: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for (offset, byte) in code.bytes().enumerate().skip(open) {
        match byte {
            b'{' => depth += 1,
            b'}' if depth == 1 => return Some(offset),
            b'}' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// Modules and functions behind `#[cfg(test)]` or `#[test]`, from the attribute to their end.
fn test_modules(code: &str) -> Vec<Range<usize>> {
    let attributes = ["#[cfg(test)]", "#[test]"];
    let starts = attributes.iter().flat_map(|attribute| {
        code.match_indices(attribute)
            .map(|(at, _)| (at, at + attribute.len()))
    });
    let range = |(start, end): (usize, usize)| {
        let close = body_start(code, end).and_then(|open| closing_brace(code, open));
        close.map(|close| start..close + 1)
    };
    starts.filter_map(range).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_measured_past_strings_and_closures() {
        let text = "trait T { fn none(&self); }\nfn one<const N: usize>(f: fn(u8) -> [u8; 2]) {\n    \
                    let s = \"}\";\n    let g = || { 1 };\n    // }\n}\nfn two() {}\n";
        let source = Source::new("a.rs", text);
        let function = |name: &str, line, lines| Function {
            name: name.to_owned(),
            line,
            lines,
        };
        assert_eq!(
            source.functions(),
            [function("one", 2, 5), function("two", 7, 1)]
        );
    }

    #[test]
    fn test_code_is_known_by_its_attribute_or_its_file() {
        let text = "fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() {}\n}\nfn c() {}\n";
        let source = Source::new("x/src/lib.rs", text);
        let is_test = |name: &str| source.is_test(text.find(name).expect("it is there"));
        assert!(!is_test("fn a") && is_test("fn b") && !is_test("fn c"));
        assert!(Source::new("x/tests/one.rs", text).is_test(0));
        assert!(Source::new("x/src/one/tests.rs", text).is_test(0));
        // A module in a file of its own has no body here; the file's name tells.
        let text = "#[cfg(test)]\nmod tests;\nfn c() { {} }\n";
        let source = Source::new("x/src/lib.rs", text);
        assert!(!source.is_test(text.find("fn c").expect("it is there")));
    }

    #[test]
    fn words_stand_by_themselves() {
        assert_eq!(
            words("unsafe unsafe_code", "unsafe").collect::<Vec<_>>(),
            [0]
        );
        assert_eq!(words("a.unwrap() b", ".unwrap()").collect::<Vec<_>>(), [1]);
    }
}
