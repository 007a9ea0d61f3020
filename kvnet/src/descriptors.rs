//! How many files and sockets a process may hold open.

use rustix::process::{Resource, getrlimit, setrlimit};

/// Raises the limit on open files to the most that the system allows, and gives it; `None` is no
/// limit. The usual soft limit of 1,024 is less than the connections that a server holds, and
/// its log needs files too.
pub fn raise_limit() -> std::io::Result<Option<u64>> {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        limit.current = limit.maximum;
        setrlimit(Resource::Nofile, limit)?;
    }
    Ok(limit.current)
}

/// Does the same, and only says so where it is not allowed: less may do.
pub fn raise_limit_or_warn() {
    match raise_limit() {
        Ok(files) => tracing::debug!(files, "open files allowed"),
        Err(error) => tracing::warn!(%error, "the limit on open files stays as it is"),
    }
}
