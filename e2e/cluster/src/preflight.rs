//! What a machine must have, and what must not be in the way: looked for before anything starts.

mod packages;
mod room;

use std::{fmt, fs, path::Path};

use crate::{
    cgroups,
    command::Command,
    error::{Error, Result},
    home::{Home, read_file},
    programs::{self, GoVersion},
};

/// Something that keeps a cluster from starting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What is wrong.
    pub what: String,
    /// What to do about it.
    pub cure: String,
}

impl Problem {
    fn new(what: impl Into<String>, cure: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            cure: cure.into(),
        }
    }
}

/// All of them at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, Problem { what, cure }) in self.0.iter().enumerate() {
            let end = if number == 0 { "" } else { "\n" };
            write!(f, "{end}  {what}\n    {cure}")?;
        }
        Ok(())
    }
}

/// Where a directory of a cluster cannot be: every node has its own there.
const COVERED: [&str; 6] = ["/run", "/var/run", "/var/lib", "/var/log", "/proc", "/sys"];

/// An error that names everything that is wrong with this machine.
pub fn check(home: &Home) -> Result<()> {
    let mut problems = Vec::new();
    problems.extend(system(
        &fs::read_to_string("/etc/os-release").unwrap_or_default(),
    ));
    problems.extend(root(rustix::process::geteuid().is_root()));
    problems.extend(packages::judge(&packages::missing()));
    let mounts = read_file(Path::new("/proc/mounts")).unwrap_or_default();
    problems.extend(hierarchies(&mounts));
    problems.extend(place(home.root()));
    let unbuilt = programs::unbuilt(home)?;
    if !unbuilt.is_empty() {
        problems.extend(go(&unbuilt, programs::installed_go()));
    }
    // Without ip(8) there is nothing to ask, and that is told above.
    if Command::line("ip -Version").succeeds() {
        problems.extend(room::problems(home.root())?);
    }
    if problems.is_empty() {
        Ok(())
    } else {
        Err(Error::Machine(Problems(problems)))
    }
}

/// Installs the Debian packages that are missing.
pub fn install() -> Result<()> {
    packages::install()
}

fn system(os_release: &str) -> Option<Problem> {
    let field = |name: &str| {
        let value = os_release
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        value.unwrap_or_default().trim_matches('"').to_owned()
    };
    let names = format!("{} {}", field("ID"), field("ID_LIKE"));
    let is_debian = names.split_ascii_whitespace().any(|name| name == "debian");
    (!is_debian).then(|| {
        let name = field("PRETTY_NAME");
        let name = if name.is_empty() {
            "this system".to_owned()
        } else {
            name
        };
        Problem::new(
            format!("{name} is not Debian, whose packages are used"),
            "use kind, or a cluster that is there: docs/cluster.md says how",
        )
    })
}

fn root(is_root: bool) -> Option<Problem> {
    (!is_root).then(|| {
        Problem::new(
            "namespaces, mounts and routes need root",
            "run it as root, or use kind: docs/cluster.md says how",
        )
    })
}

fn hierarchies(mounts: &str) -> Option<Problem> {
    let there = cgroups::controllers(mounts);
    let missing: Vec<&str> = cgroups::NEEDED
        .into_iter()
        .filter(|needed| !there.iter().any(|(name, _)| name == needed))
        .collect();
    (!missing.is_empty()).then(|| {
        Problem::new(
            format!("no cgroup hierarchy of version 1 is mounted for {}", missing.join(", ")),
            "start the kernel with systemd.unified_cgroup_hierarchy=0, or use kind: docs/cluster.md",
        )
    })
}

fn place(root: &Path) -> Option<Problem> {
    let covered = COVERED
        .into_iter()
        .find(|covered| root.starts_with(covered));
    covered.map(|covered| {
        Problem::new(
            format!(
                "{} is below {covered}, where every node has something of its own",
                root.display()
            ),
            format!("name another directory in {}", crate::home::HOME_VARIABLE),
        )
    })
}

fn go(unbuilt: &[(&str, GoVersion)], installed: Option<GoVersion>) -> Option<Problem> {
    let oldest = unbuilt.iter().map(|(_, version)| *version).max()?;
    let names: Vec<&str> = unbuilt.iter().map(|(name, _)| *name).collect();
    let what = match installed {
        Some(installed) if installed >= oldest => return None,
        Some(installed) => format!("Go {installed} is too old to build {}", names.join(", ")),
        None => format!("there is no Go, which builds {}", names.join(", ")),
    };
    Some(Problem::new(
        what,
        format!("install Go {oldest} or newer from https://go.dev/dl and have it on the path"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_debian_and_its_children_will_do() {
        assert_eq!(system("ID=debian\n"), None);
        assert_eq!(system("ID=ubuntu\nID_LIKE=debian\n"), None);
        assert_eq!(system("ID=x\nID_LIKE=\"ubuntu debian\"\n"), None);
        let said = system("PRETTY_NAME=\"Fedora 44\"\nID=fedora\n").unwrap();
        assert!(said.what.contains("Fedora 44") && said.cure.contains("kind"));
        assert!(system("").unwrap().what.contains("this system"));
    }

    #[test]
    fn each_problem_has_a_cure() {
        assert!(root(false).is_some() && root(true).is_none());
        assert!(place(Path::new("/var/lib/x")).is_some() && place(Path::new("/var/x")).is_none());
        let mounts = "cgroup /c cgroup rw,cpu,cpuacct,cpuset,memory,pids 0 0\n";
        assert!(hierarchies(mounts).unwrap().what.contains("for freezer"));
        let problems = Problems(vec![root(false).unwrap(), hierarchies(mounts).unwrap()]);
        let said = Error::Machine(problems).to_string();
        assert!(said.contains("need root\n    run it as root"), "{said}");
        assert!(said.contains("\n  no cgroup hierarchy"), "{said}");
    }

    #[test]
    fn go_is_needed_only_in_the_version_that_builds_what_is_missing() {
        let version = |text| GoVersion::parse(text).unwrap();
        let unbuilt = [("a", version("1.25")), ("b", version("1.26"))];
        assert_eq!(go(&[], None), None);
        assert_eq!(go(&unbuilt, Some(version("1.26.1"))), None);
        let said = go(&unbuilt, Some(version("1.25.9"))).unwrap();
        assert!(said.what.contains("1.25.9 is too old") && said.cure.contains("1.26.0"));
        assert!(go(&unbuilt, None).unwrap().what.contains("builds a, b"));
    }
}
