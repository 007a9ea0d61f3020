//! What ran and how it ended, read off what `cargo test` prints.

use std::fmt;

/// The results so far.
#[derive(Debug, Default)]
pub(super) struct Summary {
    suites: Vec<Suite>,
    current: String,
    failed: Vec<String>,
}

/// One test program, or the documentation examples of one crate.
#[derive(Debug)]
struct Suite {
    name: String,
    passed: u64,
    failed: u64,
    ignored: u64,
    seconds: String,
}

impl Summary {
    /// Takes the next line.
    pub(super) fn read(&mut self, line: &str) {
        let line = line.trim();
        if let Some(rest) = line.strip_prefix("Running ") {
            self.current = suite_name(rest);
        } else if let Some(name) = line.strip_prefix("Doc-tests ") {
            self.current = format!("{name}, examples in its documentation");
        } else if let Some(rest) = line.strip_prefix("test result: ") {
            let count = |what: &str| count_before(rest, what).unwrap_or(0);
            self.suites.push(Suite {
                name: self.current.clone(),
                passed: count(" passed"),
                failed: count(" failed"),
                ignored: count(" ignored"),
                seconds: rest
                    .rsplit_once("finished in ")
                    .map_or_else(String::new, |(_, time)| time.to_owned()),
            });
        } else if let Some(test) = line.strip_prefix("test ")
            && let Some(name) = test.strip_suffix(" ... FAILED")
        {
            self.failed.push(format!("{}: {name}", self.current));
        }
    }
}

/// `unittests src/lib.rs (target/debug/deps/kvcore-0123)` is `kvcore, src/lib.rs`.
fn suite_name(running: &str) -> String {
    let (what, program) = running.split_once(" (").unwrap_or((running, ""));
    let what = what.trim_start_matches("unittests ");
    let file = program
        .trim_end_matches(')')
        .rsplit('/')
        .next()
        .unwrap_or("");
    let name = file.rsplit_once('-').map_or(file, |(name, _)| name);
    format!("{name}, {what}")
}

/// The number just before `what`.
fn count_before(text: &str, what: &str) -> Option<u64> {
    let before = &text[..text.find(what)?];
    before.rsplit(' ').next()?.parse().ok()
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sum = |count: fn(&Suite) -> u64| self.suites.iter().map(count).sum::<u64>();
        for suite in self
            .suites
            .iter()
            .filter(|suite| suite.passed + suite.failed > 0)
        {
            let Suite {
                name,
                passed,
                seconds,
                ..
            } = suite;
            writeln!(f, "{passed:>6} passed  {seconds:>9}  {name}")?;
        }
        for test in &self.failed {
            writeln!(f, "FAILED  {test}")?;
        }
        let (passed, failed) = (sum(|suite| suite.passed), sum(|suite| suite.failed));
        let ignored = sum(|suite| suite.ignored);
        write!(
            f,
            "{passed} tests passed, {failed} failed, {ignored} ignored"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_summed_up_by_program() {
        let mut summary = Summary::default();
        for line in [
            "     Running unittests src/lib.rs (target/debug/deps/kvcore-0a1b2c)",
            "test slot::tests::sets_round_trip ... ok",
            "test slot::tests::broken ... FAILED",
            "test result: FAILED. 7 passed; 1 failed; 2 ignored; 0 measured; 0 filtered out; finished in 0.25s",
            "   Doc-tests kvcore",
            "test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.00s",
        ] {
            summary.read(line);
        }
        let text = summary.to_string();
        assert!(
            text.contains("7 passed      0.25s  kvcore, src/lib.rs\n"),
            "{text}"
        );
        assert!(
            text.contains("3 passed      1.00s  kvcore, examples"),
            "{text}"
        );
        assert!(
            text.contains("FAILED  kvcore, src/lib.rs: slot::tests::broken\n"),
            "{text}"
        );
        assert!(
            text.ends_with("10 tests passed, 1 failed, 2 ignored"),
            "{text}"
        );
    }
}
