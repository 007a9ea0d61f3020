//! Chooses scenarios, runs them one after the other, and sums up.

use std::time::Instant;

use anyhow::{Result, bail};

use crate::{
    Arguments, Provider,
    namespace::Namespace,
    rights::Unused,
    scenarios::{ALL, Needs, Scenario},
    world::World,
};

/// Runs what the arguments ask for; an error when any scenario failed.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    if arguments.list {
        for scenario in ALL {
            println!("{:<28} {}", scenario.name, scenario.what);
        }
        return Ok(());
    }
    let chosen: Vec<&Scenario> = ALL
        .iter()
        .filter(|scenario| is_chosen(scenario, arguments))
        .collect();
    if chosen.is_empty() {
        bail!("no scenario has such a name: --list prints them");
    }
    let world = World::begin(arguments)?;
    if let Err(error) = world.install() {
        world.show_operator();
        if !arguments.keep {
            world.end()?;
        }
        return Err(error);
    }
    let (mut failed, mut left_out, mut going) = (Vec::new(), Vec::new(), Vec::new());
    for scenario in &chosen {
        if scenario.needs == Needs::Nodes && arguments.provider == Provider::Existing {
            left_out.push(scenario.name);
            continue;
        }
        let began = Instant::now();
        println!("\n==> {}: {}", scenario.name, scenario.what);
        let done = one(&world, scenario, arguments, &mut going);
        let seconds = began.elapsed().as_secs_f64();
        match done {
            Ok(()) => println!("ok      {} ({seconds:.1} s)", scenario.name),
            Err(error) => {
                println!("FAILED  {} ({seconds:.1} s): {error:#}", scenario.name);
                failed.push(scenario.name);
            }
        }
    }
    // They go while others run: pods take their time to end.
    for namespace in &going {
        namespace.wait_all_gone()?;
    }
    let rights = world.check_rights(if arguments.all {
        Unused::Fails
    } else {
        Unused::IsShown
    });
    println!(
        "\n{} of {} scenarios passed",
        chosen.len() - failed.len() - left_out.len(),
        chosen.len()
    );
    if !left_out.is_empty() {
        println!(
            "left out, since they take nodes of this machine: {}",
            left_out.join(", ")
        );
    }
    if arguments.keep && !failed.is_empty() {
        println!("kept: the cluster; `cargo xtask cluster down` ends it");
    } else {
        world.end()?;
    }
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    rights
}

fn is_chosen(scenario: &Scenario, arguments: &Arguments) -> bool {
    if arguments.all {
        return true;
    }
    if arguments.names.is_empty() {
        return scenario.smoke;
    }
    arguments
        .names
        .iter()
        .any(|name| scenario.name.contains(name.as_str()))
}

/// One scenario in a namespace of its own, which is shown when it fails, and removed afterwards.
fn one(
    world: &World,
    scenario: &Scenario,
    arguments: &Arguments,
    going: &mut Vec<Namespace>,
) -> Result<()> {
    let namespace = Namespace::make(world, scenario.name)?;
    let done = (scenario.run)(world, &namespace);
    if done.is_err() {
        namespace.show();
        world.show_operator();
        if arguments.keep {
            println!("kept: namespace {}", namespace.name());
            return done;
        }
    }
    let deleted = namespace.begin_delete_all();
    going.push(namespace);
    done.and(deleted)
}
