//! `kvctl load` of a large file, beside a plain write of as many bytes as the copies take.

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use crate::{
    Measured,
    cleanup::Program,
    document::Section,
    figures::{Reach, Samples, whole},
    kvasir::{Cluster, Shape},
    load, machine, records,
    settings::Settings,
};

const COPIES: u64 = 3;
const VALUE_BYTES: usize = 1_000;

/// Memory that a load may take.
const LOADER_BYTES_MAX: f64 = 100.0 * 1024.0 * 1024.0;

/// Runs the bench.
pub(crate) fn run(settings: &Settings) -> Measured {
    let bytes: u64 = settings.either(16, 1024) * 1024 * 1024;
    let input = settings.scratch("load-input")?;
    let file = input.path().join("records.ndjson");
    eprintln!("writing {} MiB of records", bytes / 1024 / 1024);
    write_records(&file, bytes)?;
    let (mut ours, mut plain, mut peak) =
        (Samples::default(), Samples::default(), Samples::default());
    for turn in 1..=settings.repeats {
        eprintln!("turn {turn} of {}", settings.repeats);
        let (took, memory) = load(settings, &file)?;
        ours.push(took.as_secs_f64());
        peak.push(memory);
        plain.push(write_plain(settings, bytes * COPIES)?.as_secs_f64());
    }
    let mebibytes = bytes as f64 / 1024.0 / 1024.0;
    let mut section = Section::new(
        "A load of a file, beside dd",
        &format!(
            "`kvctl load` of {} MiB of NDJSON with values of {VALUE_BYTES} bytes into five servers \
             with {COPIES} copies, `--sync always`, through one broker; beside it `dd \
             conv=fdatasync` of {COPIES} times the bytes into one file of the same file system.",
            whole(mebibytes)
        ),
    );
    let seconds = |samples: &Samples| samples.shown(|seconds| format!("{seconds:.2}"));
    let all: Samples = std::iter::repeat_n(mebibytes, settings.repeats).collect();
    let rate = |samples: &Samples| all.over(samples).shown(whole);
    let memory = peak.shown(|bytes| format!("{:.1}", bytes / 1024.0 / 1024.0));
    section.table(
        &["", "seconds", "MiB of records a second", "peak memory, MiB"],
        &[
            vec![
                "`kvctl load`".to_owned(),
                seconds(&ours),
                rate(&ours),
                memory,
            ],
            vec![
                "dd".to_owned(),
                seconds(&plain),
                rate(&plain),
                "–".to_owned(),
            ],
        ],
    );
    let limit: Samples = std::iter::repeat_n(LOADER_BYTES_MAX, settings.repeats).collect();
    section.reaches(&[
        Reach::at_least("speed beside dd", plain.over(&ours), 0.3),
        Reach::at_most(
            "peak memory of the loader by 100 MiB",
            peak.over(&limit),
            1.0,
        ),
    ]);
    Ok(section)
}

fn write_records(path: &Path, bytes: u64) -> Result<()> {
    let value = load::text(6, VALUE_BYTES);
    let mut out = BufWriter::new(File::create(path)?);
    let (mut written, mut number) = (0, 0);
    while written < bytes {
        let line = format!(
            "{{\"key\": \"{}\", \"value\": \"{value}\"}}\n",
            records::key(number)
        );
        out.write_all(line.as_bytes())?;
        written += line.len() as u64;
        number += 1;
    }
    Ok(out.flush()?)
}

/// Loads the file into a new cluster; gives back time and the loader's most memory.
fn load(settings: &Settings, file: &Path) -> Result<(Duration, f64)> {
    let shape = Shape {
        servers: 5,
        copies: COPIES as usize,
        mode: "memory",
        sync: "always",
    };
    let mut cluster = Cluster::start(settings, shape)?;
    let scratch = settings.scratch("load")?;
    let mut command = Command::new(&settings.kvctl);
    command.arg("load").arg(file);
    command.args([
        "--quiet",
        "--restart",
        "--overwrite",
        "--broker",
        &cluster.line,
    ]);
    command.arg("--rejects").arg(scratch.path().join("rejects"));
    let since = Instant::now();
    let mut program = Program::start(&mut command, scratch.path(), "load")?;
    let mut peak: f64 = 0.0;
    let status = loop {
        peak = peak.max(machine::resident_peak(program.id()));
        if let Some(status) = program.ended()? {
            break status;
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    let took = since.elapsed();
    if !status.success() {
        bail!("kvctl load failed ({status}): {}", program.said());
    }
    cluster.check()?;
    Ok((took, peak))
}

fn write_plain(settings: &Settings, bytes: u64) -> Result<Duration> {
    let scratch = settings.scratch("dd")?;
    let mut command = Command::new("dd");
    command
        .arg("if=/dev/zero")
        .arg(format!("of={}", scratch.path().join("plain").display()));
    command.args([
        "bs=1M",
        &format!("count={}", bytes / 1024 / 1024),
        "conv=fdatasync",
    ]);
    let since = Instant::now();
    let mut program = Program::start(&mut command, scratch.path(), "dd")?;
    let status = program.wait().context("dd is waited for")?;
    let took = since.elapsed();
    if !status.success() {
        bail!("dd failed ({status}): {}", program.said());
    }
    Ok(took)
}
