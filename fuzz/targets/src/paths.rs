//! Dot paths: printing, and finding in documents what their names lead to.

use std::time::{Duration, Instant};

use kvcore::{
    document::Document,
    limits::PATH_BYTES_MAX,
    path::{DotPath, escape_segment},
};

use crate::input::Input;

/// Values of a document that are looked for by the path that leads to them.
const LEAVES_MAX: usize = 64;

/// Keys that the path's author may have meant, of which people are shown the first few.
const DOTTED_MAX: usize = 8;

/// How long a lookup may take, with room for a slow machine under a sanitizer.
const LOOKUP_MAX: Duration = Duration::from_secs(1);

/// A path prints as it was written, and every value of a document can be reached.
///
/// The bytes are a path's, then a line break and a document in JSON.
pub fn target(data: &[u8]) {
    let bytes = Input::new(data).stretched(PATH_BYTES_MAX + 8);
    let end = bytes.iter().position(|&byte| byte == b'\n');
    let (path, json) = match end {
        Some(end) => (&bytes[..end], &bytes[end + 1..]),
        None => (
            &bytes[..],
            &b"{\"a\":[0,{\"b.c\":1}],\"\":{\"\\\\\":null}}"[..],
        ),
    };
    let document = Document::from_json(json).ok();
    if let Ok(text) = str::from_utf8(path) {
        check_path(text, document.as_ref());
    }
    if let Some(document) = &document {
        reach(document, "k", document, &mut LEAVES_MAX.clone());
    }
}

fn check_path(text: &str, document: Option<&Document>) {
    let path = match DotPath::parse(text) {
        Ok(path) => path,
        Err(error) => return drop(error.to_string()),
    };
    assert_eq!(path.to_string(), text, "a path has one form");
    for name in path.dotted_keys().take(DOTTED_MAX) {
        let escaped = DotPath::parse(&escape_segment(&name));
        if let Ok(escaped) = escaped {
            assert!(escaped.steps().is_empty(), "an escaped name is one segment");
        }
    }
    let Some(document) = document else { return };
    let began = Instant::now();
    if let Err(missing) = path.lookup(document) {
        assert!(missing.step < path.steps().len());
        if let Some(dotted) = missing.dotted {
            assert!(dotted.starts_with(&path.steps()[missing.step]));
        }
    }
    assert!(began.elapsed() < LOOKUP_MAX, "{:?}", began.elapsed());
}

/// Looks for every value below `here` by the path that leads to it.
fn reach(root: &Document, path: &str, here: &Document, left: &mut usize) {
    if *left == 0 {
        return;
    }
    *left -= 1;
    if path.len() <= PATH_BYTES_MAX {
        let parsed = DotPath::parse(path).expect("every step is escaped");
        assert_eq!(parsed.lookup(root), Ok(here));
    }
    match here {
        Document::Map(map) => {
            for (name, value) in map {
                let path = format!("{path}.{}", escape_segment(name));
                reach(root, &path, value, left);
            }
        }
        Document::List(items) => {
            for (index, item) in items.iter().enumerate() {
                reach(root, &format!("{path}.{index}"), item, left);
            }
        }
        _ => {}
    }
}
