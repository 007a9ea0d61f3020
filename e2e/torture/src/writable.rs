//! After the faults everything must be writable: every key by every broker, and what one has
//! written another one reads.

use std::time::Duration;

use anyhow::{Result, bail};

use crate::{
    cluster::Cluster,
    line::{Connection, Wrote},
    load::{KEYS, key},
    stop::Stop,
};

/// How long an operation may be refused, when all servers are up.
const PATIENCE: Duration = Duration::from_secs(30);

/// Through every broker puts the keys that were worked on under faults, deletes every second one,
/// and reads each through another broker; gives what went wrong.
pub(crate) fn check(cluster: &Cluster, stop: &Stop) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    for (at, broker) in cluster.lines.iter().enumerate() {
        let other = &cluster.lines[(at + 1) % cluster.lines.len()];
        match check_broker(at, broker, other, stop) {
            Ok(()) => println!("{broker}: {KEYS} keys put or deleted, and read from {other}"),
            Err(error) => {
                // Being told to stop breaks no promise.
                stop.pass(Duration::ZERO)?;
                let what = format!("promise broken: not writable after the faults: {error:#}");
                problems.push(what);
            }
        }
    }
    Ok(problems)
}

fn check_broker(at: usize, broker: &str, other: &str, stop: &Stop) -> Result<()> {
    let mut writer = Connection::open(broker)?;
    let mut reader = Connection::open(other)?;
    for number in 0..KEYS {
        let key = key(number);
        let value = format!("written at the end by broker {}", at + 1);
        put(&mut writer, &key, &value, broker, stop)?;
        expect(&mut reader, &key, Some(&value), other, stop)?;
        if (number + at).is_multiple_of(2) {
            delete(&mut writer, &key, broker, stop)?;
            expect(&mut reader, &key, None, other, stop)?;
        }
    }
    Ok(())
}

fn put(to: &mut Connection, key: &str, value: &str, broker: &str, stop: &Stop) -> Result<()> {
    let what = format!("a put of {key} through {broker}");
    stop.wait_for(&what, PATIENCE, || {
        Ok(match to.put(key, value)? {
            Wrote::Done => Ok(()),
            Wrote::NothingThere => bail!("a put was answered NOT FOUND"),
            Wrote::Not(why) => Err(why),
        })
    })
}

/// Deletes what is there.
fn delete(from: &mut Connection, key: &str, broker: &str, stop: &Stop) -> Result<()> {
    let what = format!("a delete of {key} through {broker}");
    let mut may_be_gone = false;
    stop.wait_for(&what, PATIENCE, || {
        Ok(match from.delete(key)? {
            Wrote::Done => Ok(()),
            Wrote::NothingThere if may_be_gone => Ok(()),
            Wrote::NothingThere => bail!("{what} found nothing, though it was there before"),
            Wrote::Not(why) => {
                may_be_gone |= why.starts_with("ERROR UNKNOWN");
                Err(why)
            }
        })
    })
}

fn expect(
    from: &mut Connection,
    key: &str,
    value: Option<&str>,
    broker: &str,
    stop: &Stop,
) -> Result<()> {
    let what = format!("{key} from {broker}");
    let read = stop.wait_for(&what, PATIENCE, || from.get(key))?;
    if read.as_deref() != value {
        bail!("{what}: {value:?} was written, {read:?} is read");
    }
    Ok(())
}
