//! The end of a run: everything healed, every key read through every broker.

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::Path,
    time::Duration,
};

use anyhow::Result;
use serde_json::{Value, json};

use crate::{
    cluster::{Cluster, SERVERS},
    line::Connection,
    load::{KEYS, key},
    stop::Stop,
};

/// How long healing may take.
const HEAL_MAX: Duration = Duration::from_mins(2);

/// How long a read may be refused at the end, when all servers are up.
const READ_MAX: Duration = Duration::from_secs(30);

/// Values with more bytes stand in histories as a beginning, their length and a checksum.
const WHOLE_MAX: usize = 256;
const BEGINNING: usize = 64;

/// Waits until every slot has all copies that it can have.
pub(crate) fn wait_healed(cluster: &Cluster, wiped: Option<usize>, stop: &Stop) -> Result<()> {
    stop.wait_for("every slot to have its copies again", HEAL_MAX, || {
        Ok(check_healed(&cluster.status()?, wiped, cluster.lines.len()))
    })
}

fn check_healed(status: &Value, wiped: Option<usize>, brokers: usize) -> Result<(), String> {
    let ready = status["readyReplicas"].as_u64();
    let expected = SERVERS - usize::from(wiped.is_some());
    let members = status["members"].as_array().map_or(&[][..], Vec::as_slice);
    let of_others = members
        .iter()
        .enumerate()
        .filter(|&(at, _)| Some(at) != wiped)
        .filter_map(|(_, member)| member["slots"].as_u64())
        .sum::<u64>();
    // Every slot has three copies; those that the others do not hold, the wiped one did.
    let lost = (3 * 1024u64).saturating_sub(of_others);
    let slots = &status["slots"];
    let is_healed = ready == Some(expected as u64)
        && slots["short"].as_u64() == Some(lost)
        && slots["behind"].as_u64() == Some(0)
        // A broker without all members says so, and is no less of use.
        && (wiped.is_some() || status["readyBrokers"].as_u64() == Some(brokers as u64));
    if is_healed {
        return Ok(());
    }
    let reasons: Vec<_> = members
        .iter()
        .map(|member| member["reason"].to_string())
        .collect();
    Err(format!(
        "{} of {expected} servers ready, slots {slots}, {lost} of them can have no third copy; {}",
        ready.unwrap_or(0),
        reasons.join("; ")
    ))
}

/// Reads every key through every broker into `file`; gives how many values there are.
pub(crate) fn read_all(cluster: &Cluster, file: &Path, stop: &Stop) -> Result<usize> {
    let mut out = BufWriter::new(File::create(file)?);
    let mut values = 0;
    for broker in &cluster.lines {
        let mut connection = Connection::open(broker)?;
        for number in 0..KEYS {
            let key = key(number);
            let value = stop.wait_for(&format!("{key} from {broker}"), READ_MAX, || {
                connection.get(&key)
            })?;
            let value = value.map(recorded);
            values += usize::from(value.is_some());
            let line = json!({"key": key, "value": value, "broker": broker});
            writeln!(out, "{line}")?;
        }
    }
    out.flush()?;
    Ok(values)
}

/// The value as histories have it (`kvctl bench --help`).
fn recorded(value: String) -> String {
    if value.len() <= WHOLE_MAX {
        return value;
    }
    let sum = value.bytes().fold(0xCBF2_9CE4_8422_2325u64, |sum, byte| {
        (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
    });
    let beginning = &value[..value.floor_char_boundary(BEGINNING)];
    format!("{beginning}...{}:{sum:016x}", value.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(ready: u64, short: u64, behind: u64, slots: [u64; 5]) -> Value {
        let members = slots.map(|slots| json!({"slots": slots, "reason": null}));
        json!({
            "readyReplicas": ready, "readyBrokers": 2, "members": members,
            "slots": {"short": short, "behind": behind},
        })
    }

    #[test]
    fn healed_is_every_copy_that_can_be() {
        let whole = [614, 614, 614, 615, 615];
        assert!(check_healed(&status(5, 0, 0, whole), None, 2).is_ok());
        assert!(check_healed(&status(5, 0, 1, whole), None, 2).is_err());
        assert!(check_healed(&status(4, 615, 0, whole), None, 2).is_err());
        let wiped = [614, 614, 614, 615, 0];
        assert!(check_healed(&status(4, 615, 0, wiped), Some(4), 2).is_ok());
        assert!(check_healed(&status(4, 616, 0, wiped), Some(4), 2).is_err());
    }

    #[test]
    fn long_values_are_told_apart_by_every_byte() {
        let one = "a".repeat(1000);
        let mut other = one.clone();
        other.replace_range(999.., "b");
        assert_ne!(recorded(one), recorded(other));
        assert_eq!(recorded("short".to_owned()), "short");
    }
}
