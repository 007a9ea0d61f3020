//! A load needs little memory however large its file is.

use std::{
    fmt::Write as _,
    fs::{self, File},
    io::{BufWriter, Write},
    path::Path,
    thread,
    time::Duration,
};

use crate::cluster::Cluster;

const MIB: u64 = 1024 * 1024;

/// Larger than all the memory that a load may take.
const RECORDS: u64 = 27_000;
const RECORD_BYTES: usize = 4096;

/// What a load promises to stay below.
const MEMORY_MAX: u64 = 100 * MIB;

#[test]
fn a_large_file_needs_little_memory() {
    let cluster = Cluster::up(&[
        "--servers",
        "3",
        "--copies",
        "2",
        "--sync",
        "never",
        "--mode",
        "disk",
    ]);
    let file = cluster.home().join("large.ndjson");
    write_records(&file).expect("written");
    assert!(fs::metadata(&file).expect("written").len() > MEMORY_MAX);
    let mut load = cluster.kvctl(&["load", "large.ndjson"]).start();
    let mut peak = 0;
    // The peak is the process's own figure: the last reading is the one that counts.
    while !load.has_ended() {
        peak = peak_memory(load.pid()).unwrap_or(peak);
        thread::sleep(Duration::from_millis(5));
    }
    let said = load.end(Duration::ZERO);
    said.remarks(&format!(
        "{RECORDS} stored, 0 existed, 0 rejected, 0 failed"
    ));
    assert!(peak > MIB && peak < MEMORY_MAX, "{} MiB", peak / MIB);
}

fn write_records(file: &Path) -> std::io::Result<()> {
    let mut out = BufWriter::new(File::create(file)?);
    let mut text = String::new();
    for number in 0..RECORDS {
        text.clear();
        let _ = write!(
            text,
            "{{\"key\":\"record{number}\",\"value\":{{\"number\":{number},\"text\":\""
        );
        let padding = RECORD_BYTES - text.len();
        text.extend(std::iter::repeat_n('x', padding));
        text += "\"}}\n";
        out.write_all(text.as_bytes())?;
    }
    out.flush()
}

/// The most memory that a process had so far, in bytes.
fn peak_memory(pid: i32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib * 1024)
}
