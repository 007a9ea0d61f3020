//! What can be asked for, and by which words.

mod pack;
mod show;

use std::{
    io::Write,
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Command, ExitCode},
    time::Duration,
};

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand, ValueEnum};
use kvasir_cluster::{
    Cluster, Direction, HOME_VARIABLE, Home, NODES_MAX, Options, Programs, Progress, Topology,
    Wipe, check, down, install, tool,
};

/// How long `status` looks at processor time.
const STATUS_OVER: Duration = Duration::from_secs(2);

/// A real Kubernetes with several nodes on this machine, without Docker.
///
/// Each node is a set of namespaces with its own containerd, kubelet and kube-proxy; the control plane
/// runs beside them. Needs root, Debian's packages (what is missing is named, with the line that
/// installs it) and, the first time, Go: building Kubernetes takes some ten minutes, once.
#[derive(Debug, Parser)]
#[command(
    name = "kvasir-cluster",
    bin_name = "cargo xtask cluster",
    after_help = "A first visit:\n  \
        cargo xtask cluster up --install\n  \
        export KUBECONFIG=$(cargo xtask cluster kubeconfig)\n  \
        $(cargo xtask cluster tool kubectl) get nodes\n  \
        cargo xtask cluster down"
)]
pub(crate) struct Arguments {
    /// Where the cluster keeps what it has [default: ~/.cache/kvasir/cluster].
    #[arg(long, global = true, value_name = "DIR", env = HOME_VARIABLE)]
    home: Option<PathBuf>,
    #[command(subcommand)]
    command: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Starts a cluster and waits until all nodes are Ready and DNS answers.
    ///
    /// Builds what has to be built first. What is left of a run that died is cleared away.
    Up(Up),
    /// Ends the cluster: no process, mount, interface, route, cgroup or sysctl of it stays.
    ///
    /// Objects and volumes stay on disk for the next `up`, unless wiped.
    Down {
        /// Take more along: `state` (objects, volumes, logs), which is what `--wipe` alone means, or
        /// `everything` (keys and imported images, too). Built programs always stay.
        #[arg(long, value_name = "WHAT", num_args = 0..=1, default_missing_value = "state")]
        wipe: Option<What>,
    },
    /// Shows nodes, the control plane, and what all of it takes of the machine.
    Status,
    /// Prints the path of the file that clients need: `export KUBECONFIG=$(cargo xtask cluster kubeconfig)`.
    Kubeconfig,
    /// Brings archives of images to all nodes, now and whenever one starts.
    ///
    /// Archives as `docker save` or umoci and tar make them. Pods then name the image with
    /// `imagePullPolicy: IfNotPresent` or `Never`, and a tag that is not `latest`.
    LoadImage {
        /// The archives.
        #[arg(required = true, value_name = "FILE")]
        archives: Vec<PathBuf>,
    },
    /// Packs programs or a directory into an archive that `load-image` and `docker load` read.
    PackImage(Box<pack::Pack>),
    /// Cuts a node's power or network, mends it, or runs something inside.
    #[command(subcommand)]
    Node(Node),
    /// Builds one program of the tools, unless it is built, and prints its path.
    ///
    /// Such as kubectl, helm, kubeconform, kind, kwok, metrics-server.
    Tool {
        /// The program.
        name: String,
    },
    /// Builds the programs that a cluster needs, and nothing else. Needs no root.
    Build,
    /// Says whether this machine can run a cluster, and what it lacks.
    Check,
}

#[derive(Debug, Args)]
struct Up {
    /// How many nodes.
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=i64::from(NODES_MAX)))]
    nodes: u8,
    /// How many zones the nodes stand in [default: one a node, three at most].
    #[arg(long, value_name = "Z")]
    zones: Option<u8>,
    /// Install missing Debian packages first.
    #[arg(long)]
    install: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum What {
    /// Objects, volumes, logs.
    State,
    /// Keys and imported images, too.
    Everything,
}

#[derive(Debug, Subcommand)]
enum Node {
    /// Cuts the node's power: everything in it ends at once. Noticed after some 20 s.
    Stop {
        /// The node, counted from 1.
        number: u8,
    },
    /// Gives the node power again and waits until it is Ready.
    Start {
        /// The node, counted from 1.
        number: u8,
    },
    /// Cuts the node off from the machine and from the other nodes.
    Cut {
        /// The node, counted from 1.
        number: u8,
        /// Which packets are lost.
        #[arg(long, value_enum, default_value_t = Packets::Both)]
        direction: Packets,
    },
    /// Mends every cut of the node.
    Heal {
        /// The node, counted from 1.
        number: u8,
    },
    /// Runs a command inside the node, or a shell.
    Enter {
        /// The node, counted from 1.
        number: u8,
        /// The command.
        #[arg(
            trailing_var_arg = true,
            allow_hyphen_values = true,
            value_name = "CMD"
        )]
        command: Vec<String>,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Packets {
    /// All.
    Both,
    /// Those that come to it.
    Incoming,
    /// Those that leave it.
    Outgoing,
}

/// Does what was asked for.
pub(crate) fn run(arguments: Arguments) -> Result<ExitCode> {
    let home = Home::from_environment()?;
    let home = match arguments.home {
        Some(root) => home.with_root(std::path::absolute(root)?),
        None => home,
    };
    match arguments.command {
        Task::Up(up) => start(home, &up)?,
        Task::Down { wipe } => down(&home, what(wipe))?,
        Task::Status => show::status(&Cluster::attach(&home)?.status(STATUS_OVER)?)?,
        Task::Kubeconfig => print(&home.kubeconfig().display().to_string())?,
        Task::LoadImage { archives } => Cluster::attach(&home)?.load_images(&archives)?,
        Task::PackImage(pack) => print(&pack::run(*pack)?)?,
        Task::Node(node) => return act(&Cluster::attach(&home)?, &node),
        Task::Tool { name } => print(&tool(&home, &name, Progress::Shown)?.display().to_string())?,
        Task::Build => drop(Programs::build(&home, Progress::Shown)?),
        Task::Check => check(&home)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn what(wipe: Option<What>) -> Wipe {
    match wipe {
        None => Wipe::Nothing,
        Some(What::State) => Wipe::State,
        Some(What::Everything) => Wipe::Everything,
    }
}

fn start(home: Home, up: &Up) -> Result<()> {
    if up.install {
        install()?;
    }
    let topology = match up.zones {
        Some(zones) => Topology::new(up.nodes, zones)?,
        None => Topology::of_nodes(up.nodes)?,
    };
    let cluster = Cluster::up(&Options {
        home,
        topology,
        progress: Progress::Shown,
    })?;
    print(&format!(
        "export KUBECONFIG={}",
        cluster.kubeconfig().display()
    ))?;
    print(&format!(
        "export PATH={}:$PATH",
        show::directory(&cluster.programs().kubectl)
    ))
}

fn act(cluster: &Cluster, act: &Node) -> Result<ExitCode> {
    match act {
        Node::Stop { number } => cluster.stop_node(cluster.node(*number)?)?,
        Node::Start { number } => cluster.start_node(cluster.node(*number)?)?,
        Node::Cut { number, direction } => {
            let direction = match direction {
                Packets::Both => Direction::Both,
                Packets::Incoming => Direction::Incoming,
                Packets::Outgoing => Direction::Outgoing,
            };
            // It stays so after this program has ended.
            cluster.cut(cluster.node(*number)?, direction)?.leave();
        }
        Node::Heal { number } => cluster.heal(cluster.node(*number)?)?,
        Node::Enter { number, command } => return enter(cluster, *number, command),
    }
    Ok(ExitCode::SUCCESS)
}

/// Becomes the command: its signals, its terminal and its exit code are its own.
fn enter(cluster: &Cluster, number: u8, command: &[String]) -> Result<ExitCode> {
    let words = cluster.enter_words(cluster.node(number)?)?;
    let shell = [String::from("sh")];
    let command = if command.is_empty() {
        &shell[..]
    } else {
        command
    };
    let (program, arguments) = words.split_first().context("it has a program")?;
    let error = Command::new(program).args(arguments).args(command).exec();
    Err(error).context("cannot run nsenter")
}

fn print(line: &str) -> Result<()> {
    writeln!(std::io::stdout(), "{line}").context("cannot write to the standard output")
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(line: &str) -> Result<Arguments, clap::Error> {
        Arguments::try_parse_from(line.split(' '))
    }

    #[test]
    fn the_declaration_is_right() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn wiping_says_how_much() {
        let wiped = |line| match parse(line).unwrap().command {
            Task::Down { wipe } => what(wipe),
            other => panic!("{other:?}"),
        };
        assert_eq!(wiped("x down"), Wipe::Nothing);
        assert_eq!(wiped("x down --wipe"), Wipe::State);
        assert_eq!(wiped("x down --wipe everything"), Wipe::Everything);
    }

    #[test]
    fn a_command_inside_a_node_keeps_its_flags() {
        let Task::Node(Node::Enter { number, command }) =
            parse("x node enter 2 ctr -n k8s.io images list")
                .unwrap()
                .command
        else {
            panic!("another command");
        };
        assert_eq!(
            (number, command.join(" ").as_str()),
            (2, "ctr -n k8s.io images list")
        );
        assert!(parse("x up --nodes 6").is_err());
    }
}
