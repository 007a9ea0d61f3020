//! Tells code from comments and literals, as far as the rules need it.

/// The code and the comments of a file, each as long as the file, the rest blanked out.
pub(super) fn split(text: &str) -> (String, String) {
    let mut lexer = Lexer {
        text: text.as_bytes(),
        at: 0,
        code: Vec::with_capacity(text.len()),
        comments: Vec::with_capacity(text.len()),
    };
    while lexer.at < lexer.text.len() {
        lexer.step();
    }
    let whole = |bytes| String::from_utf8(bytes).expect("blanked out in whole characters");
    (whole(lexer.code), whole(lexer.comments))
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Code,
    Comment,
    Literal,
}

struct Lexer<'a> {
    text: &'a [u8],
    at: usize,
    code: Vec<u8>,
    comments: Vec<u8>,
}

impl Lexer<'_> {
    fn step(&mut self) {
        let rest = &self.text[self.at..];
        let (kind, length) = if rest.starts_with(b"//") {
            (Kind::Comment, find(rest, b"\n"))
        } else if rest.starts_with(b"/*") {
            (Kind::Comment, block_comment(rest))
        } else if let Some(length) = raw_string(rest).filter(|_| !self.is_within_word()) {
            (Kind::Literal, length)
        } else if rest[0] == b'"' {
            (Kind::Literal, quoted(rest, b'"'))
        } else if rest[0] == b'\'' {
            character(rest).map_or((Kind::Code, 1), |length| (Kind::Literal, length))
        } else {
            (Kind::Code, 1)
        };
        self.take(kind, length);
    }

    /// Whether the byte before belongs to a word, as the `r` of `for"` would.
    fn is_within_word(&self) -> bool {
        let before = self.at.checked_sub(1).map(|before| self.text[before]);
        before.is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    }

    fn take(&mut self, kind: Kind, length: usize) {
        for &byte in &self.text[self.at..self.at + length] {
            let keep = |wanted| {
                if kind == wanted || byte == b'\n' {
                    byte
                } else {
                    b' '
                }
            };
            self.code.push(keep(Kind::Code));
            self.comments.push(keep(Kind::Comment));
        }
        self.at += length;
    }
}

/// Where `needle` first stands, or the end.
fn find(text: &[u8], needle: &[u8]) -> usize {
    let place = text
        .windows(needle.len())
        .position(|window| window == needle);
    place.unwrap_or(text.len())
}

/// The length of a block comment; they nest.
fn block_comment(text: &[u8]) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < text.len() {
        if text[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if text[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    text.len()
}

/// The length of a raw string, with its prefix and its hashes.
fn raw_string(text: &[u8]) -> Option<usize> {
    let prefixes: [&[u8]; 3] = [b"r", b"br", b"cr"];
    let prefix = prefixes
        .into_iter()
        .find(|prefix| text.starts_with(prefix))?;
    let rest = &text[prefix.len()..];
    let hashes = rest.iter().take_while(|&&byte| byte == b'#').count();
    if rest.get(hashes) != Some(&b'"') {
        return None; // A name such as `r#type`, or simply a word.
    }
    let start = prefix.len() + hashes + 1;
    let end = [b"\"".as_slice(), &b"#".repeat(hashes)].concat();
    let length = start + find(&text[start..], &end) + end.len();
    Some(length.min(text.len()))
}

/// The length of a literal between quotes.
fn quoted(text: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < text.len() {
        match text[at] {
            b'\\' => at += 2,
            byte if byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    text.len()
}

/// The length of a character literal; `None` where the quote begins a lifetime.
fn character(text: &[u8]) -> Option<usize> {
    if text.get(1) == Some(&b'\\') {
        return Some(quoted(text, b'\''));
    }
    let first = *text.get(1)?;
    let width = match first {
        0x00..=0x7F => 1,
        0xC0..=0xDF => 2,
        0xE0..=0xEF => 3,
        _ => 4,
    };
    (text.get(1 + width) == Some(&b'\'')).then_some(width + 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> String {
        let (code, comments) = split(text);
        assert_eq!((code.len(), comments.len()), (text.len(), text.len()));
        code.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn literals_are_no_code() {
        assert_eq!(
            code(r#"a("x{\"}", 'c', '\'', b'{', '→')"#),
            "a( , , , b , )"
        );
        assert_eq!(code("a(r#\"\"}\"#, br\"\\\", r#type)"), "a( , , r#type)");
        assert_eq!(
            code("fn f<'a>(x: &'a str, y: &'_ u8) {}"),
            "fn f<'a>(x: &'a str, y: &'_ u8) {}"
        );
    }

    #[test]
    fn comments_are_told_apart() {
        let (code, comments) = split("a /* x /* y */ \" */ b // \"c\nd \"// e\"");
        assert_eq!(code.split_whitespace().collect::<String>(), "abd");
        assert_eq!(
            comments.split_whitespace().collect::<String>(),
            "/*x/*y*/\"*///\"c"
        );
    }

    #[test]
    fn unfinished_things_end_with_the_file() {
        for text in ["\"a", "/* a", "r#\"a\"", "'\\", "'", "b\"\\"] {
            let (code, comments) = split(text);
            assert_eq!(
                (code.len(), comments.len()),
                (text.len(), text.len()),
                "{text}"
            );
        }
    }
}
