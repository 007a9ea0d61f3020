//! The machine a figure comes from.

use std::{fs, path::Path};

use anyhow::Result;

use crate::settings::Settings;

/// One line: cores, processor, memory, kernel, file system, and what else ran.
pub(crate) fn describe(settings: &Settings) -> Result<String> {
    let cores = std::thread::available_parallelism()?;
    let model = field("/proc/cpuinfo", "model name");
    let memory = field("/proc/meminfo", "MemTotal");
    let kibibytes: f64 = memory.trim_end_matches(" kB").parse().unwrap_or(0.0);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or_default();
    Ok(format!(
        "{cores} cores of {model}, {:.0} GiB of memory, Linux {}, {}; load average {load} when it \
         began",
        kibibytes / 1024.0 / 1024.0,
        kernel.trim(),
        file_system(&settings.directory)
    ))
}

/// The value of a `name : value` line of a file.
fn field(path: &str, name: &str) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with(name));
    let value = line.and_then(|line| line.split_once(':'));
    value.map_or_else(
        || "unknown".to_owned(),
        |(_, value)| value.trim().to_owned(),
    )
}

/// The type of the file system that holds a directory.
fn file_system(directory: &Path) -> String {
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    let mounted = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ');
        let (_, point, kind) = (fields.next()?, fields.next()?, fields.next()?);
        directory.starts_with(point).then_some((point.len(), kind))
    });
    mounted
        .max()
        .map_or_else(|| "unknown".to_owned(), |(_, kind)| kind.to_owned())
}

/// Resident memory of a process, in bytes.
pub(crate) fn resident(program: u32) -> f64 {
    let text = field(&format!("/proc/{program}/status"), "VmRSS");
    let kibibytes: f64 = text.trim_end_matches(" kB").parse().unwrap_or(0.0);
    kibibytes * 1024.0
}

/// The most memory that a process ever had resident, in bytes.
pub(crate) fn resident_peak(program: u32) -> f64 {
    let text = field(&format!("/proc/{program}/status"), "VmHWM");
    let kibibytes: f64 = text.trim_end_matches(" kB").parse().unwrap_or(0.0);
    kibibytes * 1024.0
}

/// Processor seconds that this process has used.
pub(crate) fn own_seconds() -> f64 {
    let spent = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    spent.tv_sec as f64 + spent.tv_nsec as f64 / 1e9
}
