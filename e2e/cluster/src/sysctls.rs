//! Settings of the whole machine that kubelets change, and how they are put back.

use std::{fs, path::Path};

use crate::{
    error::{Doing, Result},
    home::{Home, read_file, remove, write_file},
};

/// What a kubelet sets for everybody, whatever namespaces it is in.
const CHANGED: [&str; 3] = [
    "vm/overcommit_memory",
    "kernel/panic",
    "kernel/panic_on_oops",
];

/// Remembers how the machine was, unless that is remembered already.
pub(crate) fn save(home: &Home) -> Result<()> {
    let file = home.run_file("sysctls");
    if file.exists() {
        return Ok(());
    }
    let mut text = String::new();
    for name in CHANGED {
        text.extend([name, " ", read_file(&path(name))?.trim(), "\n"]);
    }
    write_file(&file, text)
}

/// Puts the machine back to what it was.
pub(crate) fn restore(home: &Home) -> Result<()> {
    let file = home.run_file("sysctls");
    if !file.exists() {
        return Ok(());
    }
    for (name, value) in parse(&read_file(&file)?) {
        fs::write(path(name), value).doing(|| format!("set the sysctl {name} to {value}"))?;
    }
    remove(&file)
}

fn path(name: &str) -> std::path::PathBuf {
    Path::new("/proc/sys").join(name)
}

fn parse(text: &str) -> Vec<(&'static str, &str)> {
    let lines = text.lines().filter_map(|line| line.split_once(' '));
    let known = lines.filter_map(|(name, value)| {
        let name = CHANGED.into_iter().find(|changed| *changed == name)?;
        Some((name, value))
    });
    known.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_saved_is_put_back() {
        let text = "vm/overcommit_memory 0\nkernel/panic -1\nkernel/core_pattern |x\n";
        let read = parse(text);
        assert_eq!(
            read,
            [("vm/overcommit_memory", "0"), ("kernel/panic", "-1")]
        );
    }
}
