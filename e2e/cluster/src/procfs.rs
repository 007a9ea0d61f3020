//! Reading the texts of `/proc`, see proc(5). Pure: nothing here opens a file.

/// What `/proc/PID/stat` says of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stat {
    /// Its parent.
    pub parent: i32,
    /// Clock ticks since the machine started; with the number it names a process for good.
    pub started: u64,
    /// Clock ticks of processor time it has used.
    pub ticks: u64,
    /// Whether it has ended and nobody has asked how.
    pub is_zombie: bool,
}

/// Reads `/proc/PID/stat`.
pub(crate) fn stat(text: &str) -> Option<Stat> {
    // The name in parentheses may hold anything, spaces and parentheses too.
    let (_, after_name) = text.rsplit_once(')')?;
    let fields: Vec<&str> = after_name.split_ascii_whitespace().collect();
    // The first one here is field 3 of the manual.
    let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
    Some(Stat {
        parent: fields.get(1)?.parse().ok()?,
        started: number(22)?,
        ticks: number(14)? + number(15)?,
        is_zombie: matches!(*fields.first()?, "Z" | "X"),
    })
}

/// The program's name, from the same text.
pub(crate) fn name(stat: &str) -> Option<&str> {
    let (head, _) = stat.rsplit_once(')')?;
    Some(head.split_once('(')?.1)
}

/// KiB of a process that are in memory, from `/proc/PID/status`.
pub(crate) fn resident_kib(status: &str) -> Option<u64> {
    kib(status, "VmRSS:")
}

/// KiB that a process has for itself, its share of what it shares included, from
/// `/proc/PID/smaps_rollup`.
pub(crate) fn proportional_kib(smaps_rollup: &str) -> Option<u64> {
    kib(smaps_rollup, "Pss:")
}

fn kib(text: &str, field: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(field))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

/// The number that a process has in the innermost of its namespaces, from `/proc/PID/status`.
pub(crate) fn innermost_number(status: &str) -> Option<i32> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("NSpid:"))?;
    line.split_ascii_whitespace().next_back()?.parse().ok()
}

/// Where file systems of this type are mounted, with their options, from `/proc/mounts`.
pub(crate) fn mounts_of<'a>(mounts: &'a str, kind: &str) -> Vec<(&'a str, &'a str)> {
    let fields = mounts
        .lines()
        .map(|line| line.split(' ').collect::<Vec<_>>());
    let found = fields.filter_map(|fields| match fields[..] {
        [_, place, type_, options, ..] if type_ == kind => Some((place, options)),
        _ => None,
    });
    found.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "4711 (a (odd) name) S 42 4711 4711 0 -1 4194560 905 0 0 0 7 5 0 0 20 0 1 0 \
                        987654 2781184 302 18446744073709551615 1 1 0 0 0 0 0 0 0 0 0 0 17 1 0 0\n";

    #[test]
    fn a_process_is_known_whatever_its_name() {
        let read = Stat {
            parent: 42,
            started: 987_654,
            ticks: 12,
            is_zombie: false,
        };
        assert_eq!(stat(STAT), Some(read));
        assert_eq!(name(STAT), Some("a (odd) name"));
        assert!(stat(&STAT.replace(") S", ") Z")).is_some_and(|stat| stat.is_zombie));
        for cut in 0..60 {
            assert_eq!(stat(&STAT[..cut]), None);
        }
    }

    #[test]
    fn memory_is_read() {
        let text = "5581 7fff [rollup]\nRss:     900 kB\nPss:     412 kB\nPss_Dirty:  10 kB\n";
        assert_eq!(proportional_kib(text), Some(412));
        assert_eq!(proportional_kib("Rss: 900 kB\n"), None);
        let text = "VmHWM:\t    940 kB\nVmRSS:\t    900 kB\nRssAnon:\t 100 kB\n";
        assert_eq!(resident_kib(text), Some(900));
    }

    #[test]
    fn the_number_inside_is_the_last_one() {
        assert_eq!(innermost_number("Pid:\t900\nNSpid:\t900\t33\t1\n"), Some(1));
        assert_eq!(innermost_number("Pid:\t900\n"), None);
    }

    #[test]
    fn mounts_are_found_by_type() {
        let text = "cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\nproc /proc proc rw 0 0\n\
                    cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n";
        assert_eq!(
            mounts_of(text, "cgroup"),
            [("/sys/fs/cgroup/cpu", "rw,cpu")]
        );
        assert!(mounts_of("\nx\n", "cgroup").is_empty());
    }
}
