//! A real cluster: what it can do, what can be broken in it and mended, and that nothing of it stays.
//!
//! One test, because starting a cluster is most of the time: each step below is a promise of its own.
//! It needs root and Debian's packages; `KVASIR_WITHOUT_ROOT` leaves it out. While another cluster runs on
//! the machine it fails, and says so: that one is somebody's, and is not touched.

// A step that cannot be taken fails the test, with what it says.
#![allow(clippy::unwrap_used)]

mod faults;
mod kubectl;
mod machine;
mod workload;

use kvasir_cluster::{Cluster, Options, Progress, Topology, Wipe, down};

use crate::{kubectl::Kubectl, machine::Machine};

#[test]
fn a_cluster_works_breaks_mends_and_leaves_nothing_behind() {
    if std::env::var_os("KVASIR_WITHOUT_ROOT").is_some() {
        println!("left out: it needs root");
        return;
    }
    let mut options = Options::from_environment().unwrap();
    // Its own place: what is kept in the default one stays.
    let place = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("cluster");
    options.home = options.home.with_root(place);
    options.topology = Topology::of_nodes(3).unwrap();
    options.progress = Progress::Shown;
    down(&options.home, Wipe::State).unwrap();
    let before = Machine::now();
    let cluster = Cluster::up(&options).unwrap_or_else(|error| panic!("{error}"));
    let ended = std::panic::catch_unwind(|| steps(&cluster));
    if ended.is_err() {
        Kubectl::of(&cluster).show_everything();
    }
    // Objects and volumes stay on disk, and nothing else.
    cluster.down(Wipe::Nothing).unwrap();
    if let Err(panic) = ended {
        std::panic::resume_unwind(panic);
    }
    Machine::now().assert_same_as(&before);
    let cluster = Cluster::up(&options).unwrap();
    let ended = std::panic::catch_unwind(|| workload::is_back(&cluster));
    cluster.down(Wipe::State).unwrap();
    if let Err(panic) = ended {
        std::panic::resume_unwind(panic);
    }
    Machine::now().assert_same_as(&before);
    let gone = Cluster::attach(&options.home).unwrap_err().to_string();
    assert!(gone.contains("cluster up"), "{gone}");
}

fn steps(cluster: &Cluster) {
    let kubectl = Kubectl::of(cluster);
    step("a second start is refused", || {
        let again = Cluster::up(&Options {
            home: cluster.home().clone(),
            topology: cluster.topology(),
            progress: Progress::Hidden,
        });
        assert!(again.unwrap_err().to_string().contains("up already"));
        let attached = Cluster::attach(cluster.home()).unwrap();
        assert_eq!(attached.topology(), cluster.topology());
    });
    step("another place cannot take it away", || {
        let elsewhere = tempfile::tempdir().unwrap();
        let home = cluster
            .home()
            .clone()
            .with_root(elsewhere.path().to_owned());
        down(&home, Wipe::State).unwrap();
        let again = Cluster::up(&Options {
            home,
            topology: cluster.topology(),
            progress: Progress::Hidden,
        });
        let said = again.unwrap_err().to_string();
        let ours = cluster.home().root().display().to_string();
        assert!(said.contains(&format!("--home {ours} down")), "{said}");
        let status = cluster
            .status(std::time::Duration::from_millis(100))
            .unwrap();
        assert!(
            status
                .nodes
                .iter()
                .all(|node| node.is_on && node.cuts.is_empty())
        );
    });
    step("nodes stand in zones", || {
        workload::nodes_stand_in_zones(&kubectl);
    });
    step("pods have volumes, names and ports", || {
        workload::start(cluster, &kubectl);
    });
    step("an image is packed, loaded and run", || {
        workload::load_image(cluster, &kubectl);
    });
    step("status shows what it costs", || workload::status(cluster));
    step("a killed container starts again", || {
        faults::kill(cluster, &kubectl);
    });
    step("a frozen pod stands still and goes on", || {
        faults::freeze(cluster, &kubectl);
    });
    step("a cut node is cut, both ways and one way", || {
        faults::cut(cluster);
    });
    step("two nodes do not hear each other", || {
        faults::cut_between(cluster, &kubectl);
    });
    step("a full volume is full, and only that one", || {
        faults::fill(cluster, &kubectl);
    });
    step("the API server stops and starts", || {
        faults::api_server(cluster, &kubectl);
    });
    step("a node without power comes back with its disk", || {
        faults::power(cluster, &kubectl);
    });
}

fn step(what: &str, act: impl FnOnce()) {
    let since = std::time::Instant::now();
    act();
    println!("{what}: {:.1} s", since.elapsed().as_secs_f64());
}
