//! Resident memory an item: one server in memory mode, beside memcached and Redis.

mod caches;
mod member;

use anyhow::Result;

use self::{
    caches::{Cache, MEMCACHED, REDIS},
    member::Member,
};
use crate::{
    Measured, cleanup,
    document::Section,
    figures::{Reach, Samples},
    machine,
    settings::Settings,
};

const VALUE_BYTES: usize = 32;
const SIDES: [&str; 3] = ["Kvasir", "memcached", "Redis"];

/// Runs the bench.
pub(crate) fn run(settings: &Settings) -> Measured {
    cleanup::need("memcached", "memcached")?;
    cleanup::need("redis-server", "redis-server")?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let mut section = Section::new(
        "Memory an item, beside memcached and Redis",
        &format!(
            "One server, `--mode memory`, loaded through its peer protocol; memcached (two \
             threads) and Redis (without persistence) through theirs, pipelined. Keys are 16 \
             letters without a common beginning, values {VALUE_BYTES} bytes, the same on all \
             sides. Bytes are the resident memory of the process less that of the empty one, by \
             items. Kvasir's items carry a version of 16 bytes and their place in a log on disk, \
             the others' do not."
        ),
    );
    let mut rows = Vec::new();
    let mut reaches = Vec::new();
    for &items in settings.either(&[100_000][..], &[1_000_000, 10_000_000]) {
        let mut bytes: [Samples; 3] = Default::default();
        for turn in 1..=settings.repeats {
            eprintln!("{items} items, turn {turn} of {}", settings.repeats);
            for (side, samples) in bytes.iter_mut().enumerate() {
                let bytes = runtime.block_on(measure(settings, side, items))?;
                eprintln!("  {}: {bytes:.1} bytes an item", SIDES[side]);
                samples.push(bytes);
            }
        }
        for (name, samples) in SIDES.iter().zip(&bytes) {
            rows.push(vec![
                items.to_string(),
                (*name).to_owned(),
                samples.shown(|bytes| format!("{bytes:.1}")),
            ]);
        }
        let [ours, theirs @ ..] = &bytes;
        for (name, theirs) in SIDES[1..].iter().zip(theirs) {
            let what = format!("{items} items, bytes beside {name}");
            reaches.push(Reach::at_most(what, ours.over(theirs), 1.0));
        }
    }
    section.table(&["items", "", "bytes an item"], &rows);
    section.reaches(&reaches);
    Ok(section)
}

/// Bytes an item of one side.
async fn measure(settings: &Settings, side: usize, items: u64) -> Result<f64> {
    let value = crate::load::text(2, VALUE_BYTES);
    let (empty, full) = if side == 0 {
        let mut member = Member::start(settings)?;
        let empty = machine::resident(member.id());
        member.load(items, &value).await?;
        (empty, machine::resident(member.id()))
    } else {
        let cache = Cache::start(settings, if side == 1 { &MEMCACHED } else { &REDIS }).await?;
        let empty = machine::resident(cache.id());
        cache.load(items, &value).await?;
        (empty, machine::resident(cache.id()))
    };
    Ok((full - empty) / items as f64)
}
