//! What the rules know: limits, banned words, allowed arrows, and the exceptions with reasons.
//!
//! An exception that nothing needs any more is a finding itself, so the tables only shrink.

/// A place where a rule does not hold, and why.
#[derive(Debug, Clone, Copy)]
pub(super) struct Exception {
    /// The file.
    pub path: &'static str,
    /// What in the file, where the rule has finer grain than files.
    pub item: &'static str,
    /// Why.
    pub reason: &'static str,
}

const fn except(path: &'static str, item: &'static str, reason: &'static str) -> Exception {
    Exception { path, item, reason }
}

/// Longest file, in lines, tests counted: what a reader can hold in mind as one thing.
pub(super) const FILE_LINES_MAX: usize = 500;

/// Files that are longer.
pub(super) const LONG_FILES: &[Exception] = &[];

/// Longest function, in lines from its `fn` to its closing brace.
pub(super) const FUNCTION_LINES_MAX: usize = 70;

/// Functions that are longer.
pub(super) const LONG_FUNCTIONS: &[Exception] = &[
    except(
        "kvcore/src/wire/codec/encode.rs",
        "request",
        "one arm a message, without nesting: it reads as the table it is",
    ),
    except(
        "kvcore/src/wire/codec/encode.rs",
        "reply",
        "one arm a message, without nesting: it reads as the table it is",
    ),
    except(
        "kvserver/src/server/work.rs",
        "judge",
        "one arm a request: which check admits it stands beside what it does",
    ),
];

/// Names that say nothing about what is in a file, a directory or a module.
pub(super) const EMPTY_NAMES: [&str; 6] =
    ["util", "utils", "helper", "helpers", "common", "manager"];

/// Files that may contain `unsafe`.
pub(super) const UNSAFE_FILES: &[Exception] = &[
    except(
        "bench/src/allocator.rs",
        "",
        "counting what is allocated takes an allocator, and an allocator's trait is unsafe",
    ),
    except(
        "kvserver/src/trie/raw.rs",
        "",
        "nodes of one allocation, sized by their own header: no safe type is",
    ),
    except(
        "kvserver/tests/trie_bytes.rs",
        "",
        "counting what is allocated takes an allocator, and an allocator's trait is unsafe",
    ),
];

/// Tests that may be ignored.
pub(super) const IGNORED_TESTS: &[Exception] = &[except(
    "kvserver/tests/footprint_measure.rs",
    "",
    "a measurement, not a test: it asserts nothing and takes long",
)];

/// What the pure core may not name: files, sockets, processes, threads, clocks, dice.
pub(super) const IMPURE_PATHS: [&str; 9] = [
    "std::env",
    "std::fs",
    "std::net",
    "std::os",
    "std::process",
    "std::thread",
    "std::time",
    "rand",
    "tokio",
];

/// Who of this workspace may depend on whom.
pub(super) const ARROWS: &[(&str, &[&str])] = &[
    ("kvcore", &[]),
    ("kvnet", &["kvcore"]),
    ("kvserver", &["kvcore", "kvnet"]),
    ("broker", &["kvcore", "kvnet"]),
    ("kvctl", &["kvcore", "kvnet", "kvserver", "broker"]),
    ("operator", &["kvcore", "kvnet"]),
    ("sim", &["kvcore", "kvserver", "broker"]),
    ("model", &["kvcore"]),
    // It uses the product as a user would: by helm, kubectl and sockets.
    ("e2e", &["kvasir-cluster"]),
    ("fuzz-targets", &["kvcore", "kvserver", "broker"]),
    // They judge the product: what it gets wrong they must not share.
    ("history-checker", &[]),
    ("torture", &[]),
    // It knows Kubernetes, and nothing of the product.
    ("kvasir-cluster", &[]),
    ("xtask", &[]),
];

/// What a member may not reach by any chain of ordinary dependencies.
pub(super) const OUT_OF_REACH: &[(&str, &[&str])] = &[
    ("kvcore", &["tokio", "hyper", "warp", "mio"]),
    ("kvnet", &["kube"]),
    ("kvserver", &["kube"]),
    ("broker", &["kube"]),
    ("kvctl", &["kube"]),
    ("operator", &["kvserver", "broker"]),
    ("sim", &["kube"]),
    ("model", &["kube", "tokio"]),
    ("fuzz-targets", &["kube"]),
    // It stays quick to build: tests and automation wait for it.
    ("kvasir-cluster", &["kube", "tokio"]),
];

/// Where a banned word is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Where {
    /// In every text file.
    Everywhere,
    /// In comments of Rust files.
    Comments,
    /// In comments of Rust files and in Markdown.
    Prose,
}

/// A word that does not belong here.
#[derive(Debug, Clone, Copy)]
pub(super) struct BannedWord {
    /// The word, as it would be written.
    pub word: &'static str,
    /// Where it does not belong.
    pub place: Where,
    /// What to do instead.
    pub remedy: &'static str,
}

const fn ban(word: &'static str, place: Where, remedy: &'static str) -> BannedWord {
    BannedWord {
        word,
        place,
        remedy,
    }
}

const UNFINISHED: &str = "finish it, or open an issue and say here what holds today";
const MACHINE: &str = "name no place that exists on one machine only";
const HOST: &str = "take the host from configuration";
const PLAIN: &str = "say what it does in plain words";

/// Words that do not belong here.
pub(super) const BANNED_WORDS: &[BannedWord] = &[
    ban("TODO", Where::Comments, UNFINISHED),
    ban("FIXME", Where::Comments, UNFINISHED),
    ban("XXX", Where::Comments, UNFINISHED),
    ban("HACK", Where::Comments, UNFINISHED),
    ban("/home/", Where::Everywhere, MACHINE),
    ban("/root/", Where::Everywhere, MACHINE),
    ban("/Users/", Where::Everywhere, MACHINE),
    ban("/work/", Where::Everywhere, MACHINE),
    ban("docker.io", Where::Everywhere, HOST),
    ban("gcr.io", Where::Everywhere, HOST),
    ban("ghcr.io", Where::Everywhere, HOST),
    ban("quay.io", Where::Everywhere, HOST),
    ban("registry.k8s.io", Where::Everywhere, HOST),
    ban("blazing", Where::Prose, PLAIN),
    ban("seamless", Where::Prose, PLAIN),
    ban("seamlessly", Where::Prose, PLAIN),
    ban("leverage", Where::Prose, PLAIN),
    ban("leverages", Where::Prose, PLAIN),
    ban("utilize", Where::Prose, PLAIN),
    ban("utilizes", Where::Prose, PLAIN),
    ban("cutting-edge", Where::Prose, PLAIN),
    ban("world-class", Where::Prose, PLAIN),
];
