//! Faults: each begins with a call and ends when its value is dropped.

mod api_server;
mod disk;
mod network;
mod pod;
mod power;

use std::fmt;

pub use network::Direction;

use crate::error::Result;

/// Something that is broken on purpose. Dropped, it is mended; [`Fault::mend`] does the same and says
/// whether it worked.
#[must_use = "dropping it mends what was broken"]
pub struct Fault {
    what: String,
    mend: Option<Box<dyn FnOnce() -> Result<()> + Send>>,
}

impl Fault {
    pub(crate) fn new(what: String, mend: impl FnOnce() -> Result<()> + Send + 'static) -> Self {
        Self {
            what,
            mend: Some(Box::new(mend)),
        }
    }

    /// Ends the fault, and waits until things are as they were.
    pub fn mend(mut self) -> Result<()> {
        self.mend.take().map_or(Ok(()), |mend| mend())
    }

    /// Leaves it broken.
    pub fn leave(mut self) {
        self.mend = None;
    }
}

impl Drop for Fault {
    fn drop(&mut self) {
        if let Some(Err(error)) = self.mend.take().map(|mend| mend()) {
            eprintln!("{} stays: {error}", self.what);
        }
    }
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fault({})", self.what)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    };

    use super::*;

    #[test]
    fn a_fault_is_mended_once_however_it_ends() {
        let mended = Arc::new(AtomicU32::new(0));
        let fault = || {
            let mended = Arc::clone(&mended);
            Fault::new("a test".to_owned(), move || {
                mended.fetch_add(1, Ordering::Relaxed);
                Ok(())
            })
        };
        drop(fault());
        assert_eq!(mended.load(Ordering::Relaxed), 1);
        fault().mend().unwrap();
        assert_eq!(mended.load(Ordering::Relaxed), 2);
        fault().leave();
        assert_eq!(mended.load(Ordering::Relaxed), 2);
    }
}
