//! What clients can do once all faults are over: read everything, and write through every broker.

use super::{TRIES_MAX, World};
use crate::{
    checker::{Kind, Violation},
    plan::Ask,
    world::broker::key_of,
};

/// Bytes of a value that is written then.
const VALUE_BYTES: u32 = 100;

impl World<'_> {
    /// Reads every key through some broker.
    pub(super) fn read_everything(&mut self) -> Result<(), Violation> {
        for key in 0..self.plan.shape.keys {
            let broker = usize::from(key) % self.plan.shape.brokers;
            self.demand(broker, Ask::Get(key), key)?;
        }
        Ok(())
    }

    /// Writes and deletes through every broker, and reads that back through another one.
    ///
    /// The key whose version lies furthest in the future can be written, and so can the others: no
    /// clock that was wrong once stops a broker from issuing versions that members take.
    pub(super) fn write_through_every_broker(&mut self) -> Result<(), Violation> {
        let brokers = self.plan.shape.brokers;
        for broker in 0..brokers {
            let keys = 0..self.plan.shape.keys;
            let version = |&key: &u16| self.checker.known(key);
            let (highest, lowest) = (keys.clone().max_by_key(version), keys.min_by_key(version));
            let (Some(highest), Some(lowest)) = (highest, lowest) else {
                return Ok(());
            };
            let put = |key| Ask::Put {
                key,
                bytes: VALUE_BYTES,
                expires_ms: None,
            };
            let asks = [
                (highest, put(highest)),
                (highest, Ask::Delete(highest)),
                (lowest, put(lowest)),
            ];
            for (key, ask) in asks {
                self.demand(broker, ask, key)?;
                self.demand((broker + 1) % brokers, Ask::Get(key), key)?;
            }
        }
        Ok(())
    }

    /// Asks a broker, and demands that it is done where enough members of the key's slot vote.
    fn demand(&mut self, broker: usize, ask: Ask, key: u16) -> Result<(), Violation> {
        let shape = &self.plan.shape;
        // What a read finds has to be known to a write quorum before it is answered (R11).
        let needed = shape.read_quorum().max(shape.write_quorum());
        for _ in 0..=TRIES_MAX {
            if self.voters(key_of(key).slot()) < needed {
                return Ok(());
            }
            let failed = self.failed;
            self.ask(broker, ask);
            self.finish_operations()?;
            if self.failed == failed {
                return Ok(());
            }
            // It may have met damage that nobody had met before.
            self.converge()?;
        }
        let what = format!("broker {broker} is asked {ask:?} in vain");
        Err(self.violation(Kind::Unavailable, what))
    }
}
