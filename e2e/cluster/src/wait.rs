//! Waiting for a condition, with a deadline and a word for what is missing.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::{
    error::{Error, Result},
    limits::POLL,
};

/// What a look at a condition found.
pub(crate) enum Look<T> {
    /// It holds.
    Seen(T),
    /// Not yet; what is there instead.
    NotYet(String),
}

/// Looks until the condition holds; an error ends the wait at once.
pub(crate) fn wait_for<T>(
    what: &str,
    limit: Duration,
    mut look: impl FnMut() -> Result<Look<T>>,
) -> Result<T> {
    let until = Instant::now() + limit;
    loop {
        let seen = match look()? {
            Look::Seen(found) => return Ok(found),
            Look::NotYet(seen) => seen,
        };
        if Instant::now() >= until {
            return Err(Error::Timeout {
                what: what.to_owned(),
                limit,
                seen,
            });
        }
        thread::sleep(POLL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_ends_with_what_it_waited_for() {
        let mut looks = 0;
        let found = wait_for("three looks", Duration::from_secs(10), || {
            looks += 1;
            Ok(if looks == 3 {
                Look::Seen(looks)
            } else {
                Look::NotYet("fewer".to_owned())
            })
        });
        assert_eq!(found.unwrap(), 3);
    }

    #[test]
    fn a_wait_that_is_over_says_what_it_saw() {
        let error = wait_for::<()>("a miracle", Duration::ZERO, || {
            Ok(Look::NotYet("nothing of it".to_owned()))
        })
        .unwrap_err();
        let said = error.to_string();
        assert!(
            said.contains("a miracle") && said.contains("nothing of it"),
            "{said}"
        );
    }
}
