//! Planted bugs: each has to be found, or a green run means nothing.

use std::{collections::BTreeMap, time::Instant};

use anyhow::{Result, anyhow};
use indicatif::ProgressBar;
use kvcore::planted::{Bug, plant};

use crate::{checker::Kind, hunt::Hunt};

/// Hunts for one bug, or for `all`; true when each was found.
pub fn hunt_for(name: &str, hunt: Hunt) -> Result<bool> {
    let bugs: Vec<Bug> = if name == "all" {
        Bug::ALL.map(|(_, bug)| bug).to_vec()
    } else {
        vec![name.parse().map_err(|why: String| anyhow!(why))?]
    };
    println!("bug                       found by  first seed  first as        seconds");
    let mut all_found = true;
    for bug in bugs {
        let began = Instant::now();
        let hunted = hunt.run(&ProgressBar::hidden(), &|| plant(Some(bug)));
        let mut kinds: BTreeMap<Kind, usize> = BTreeMap::new();
        for (_, violation) in &hunted.failures {
            *kinds.entry(violation.kind).or_default() += 1;
        }
        let first = hunted.failures.first();
        let seed = first.map_or_else(|| "none".to_owned(), |(seed, _)| seed.to_string());
        let kind = first.map_or_else(String::new, |(_, found)| format!("{:?}", found.kind));
        println!(
            "{:<25} {:>4}/{:<6} {seed:>7}  {kind:<15} {:>5.1}  {kinds:?}",
            bug.to_string(),
            hunted.failures.len(),
            hunted.runs,
            began.elapsed().as_secs_f64(),
        );
        all_found &= first.is_some();
    }
    Ok(all_found)
}
