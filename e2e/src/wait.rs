//! Waiting for a condition, with a deadline and a word on what is missing.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

/// Pause between two looks.
const POLL: Duration = Duration::from_millis(100);

/// Waits until `look` gives something. What it last lacked is told when time is over.
pub(crate) fn until<T>(
    what: &str,
    limit: Duration,
    mut look: impl FnMut() -> Result<std::result::Result<T, String>>,
) -> Result<T> {
    let deadline = Instant::now() + limit;
    loop {
        let lacks = match look()? {
            Ok(found) => return Ok(found),
            Err(lacks) => lacks,
        };
        if Instant::now() >= deadline {
            bail!("{what}: not within {} s: {lacks}", limit.as_secs());
        }
        thread::sleep(POLL);
    }
}

/// The same for something that is there or not.
pub(crate) fn until_true(
    what: &str,
    limit: Duration,
    mut look: impl FnMut() -> Result<bool>,
) -> Result<()> {
    until(what, limit, || {
        Ok(look()?.then_some(()).ok_or_else(|| "it is not".to_owned()))
    })
}
