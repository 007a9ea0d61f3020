//! What every reconciliation uses.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use kube::{Client, runtime::events::Recorder, runtime::reflector::ObjectRef};
use kvcore::{
    placement::{Epoch, Placement},
    wire::Secret,
};
use parking_lot::Mutex;
use uuid::Uuid;

use crate::{
    crd::{KvCluster, KvClusterStatus, OperationKind},
    http_client::HttpClient,
    lease::Leadership,
    metrics::Metrics,
    observe::{caches::Caches, prober::Reports},
    plan::{self, Plan, Stalled, announce::Announce},
    status::Figures,
};

/// How often figures in a status may follow.
const FIGURES_EVERY: Duration = Duration::from_mins(1);

/// First pause after a failure; each next one is twice as long.
const BACKOFF_MIN: Duration = Duration::from_millis(200);

/// Longest pause after failures.
const BACKOFF_MAX: Duration = Duration::from_mins(1);

/// First pause before somebody who did not take a placement is told again; each next one is twice as
/// long.
const UNTOLD_MIN: Duration = Duration::from_secs(1);

/// Longest such pause.
const UNTOLD_MAX: Duration = Duration::from_secs(30);

/// How long who was told is taken to have understood: they are asked again within that time.
const TOLD: Duration = Duration::from_secs(5);

/// What every reconciliation uses.
#[derive(Clone)]
pub struct Context {
    /// The API server.
    pub client: Client,
    /// Servers and brokers.
    pub http: HttpClient,
    /// Copies of what the API server has.
    pub caches: Caches,
    /// What servers and brokers last said.
    pub reports: Reports,
    /// Where Events go.
    pub recorder: Recorder,
    /// Whether this operator may still act.
    pub leadership: Leadership,
    /// Figures about the operator itself.
    pub metrics: Metrics,
    /// Image of servers and brokers where a `KvCluster` names none.
    pub default_image: String,
    /// What is remembered of each cluster.
    pub memory: std::sync::Arc<Memory>,
}

/// What is remembered of each cluster between reconciliations. Losing it costs nothing but a write.
#[derive(Debug, Default)]
pub struct Memory(Mutex<HashMap<ObjectRef<KvCluster>, Remembered>>);

#[derive(Debug)]
struct Remembered {
    uid: String,
    since: Instant,
    failures: u32,
    /// Conflicts in a row.
    conflicts: u32,
    /// Why a person was needed when something failed last.
    stalled: Option<Stalled>,
    /// Version of the object that could not be read.
    unreadable: Option<String>,
    /// Who did not take a placement, how often in a row, and until when that is not tried again.
    refused: HashMap<Uuid, (u32, Instant)>,
    /// After failures: not before then, unless the spec is another one.
    rests_until: Option<(i64, Instant)>,
    /// What was waited for the last time, and since when nothing else was.
    waits: Option<(Vec<(OperationKind, String)>, Instant)>,
    /// Who was told of which placement, and when.
    told: HashMap<Uuid, (Epoch, u64, Instant)>,
    /// The status as it was last written: the copy of the API server's may be older.
    status: Option<KvClusterStatus>,
    figures_at: Option<Instant>,
    /// The secret, so that a lost one is put back as it was.
    secret: Option<Secret>,
    secret_text: Option<Vec<u8>>,
}

impl Remembered {
    fn of(uid: &str) -> Self {
        Self {
            uid: uid.to_owned(),
            since: Instant::now(),
            failures: 0,
            conflicts: 0,
            stalled: None,
            unreadable: None,
            refused: HashMap::new(),
            rests_until: None,
            waits: None,
            told: HashMap::new(),
            status: None,
            figures_at: None,
            secret: None,
            secret_text: None,
        }
    }
}

impl Memory {
    /// Begins a reconciliation; another object of the same name has nothing remembered.
    pub fn begin(&self, cluster: &ObjectRef<KvCluster>, uid: &str) {
        let mut all = self.0.lock();
        let remembered = all
            .entry(cluster.clone())
            .or_insert_with(|| Remembered::of(uid));
        if remembered.uid != uid {
            *remembered = Remembered::of(uid);
        }
    }

    /// How long this operator has looked after the cluster.
    pub fn age(&self, cluster: &ObjectRef<KvCluster>) -> Duration {
        let all = self.0.lock();
        all.get(cluster)
            .map_or(Duration::ZERO, |remembered| remembered.since.elapsed())
    }

    /// Whether this version of an object that cannot be read was not looked at before.
    pub fn is_first_look(&self, cluster: &ObjectRef<KvCluster>, version: Option<String>) -> bool {
        let mut all = self.0.lock();
        let remembered = all
            .entry(cluster.clone())
            .or_insert_with(|| Remembered::of(""));
        let is_first = remembered.unreadable != version;
        remembered.unreadable = version;
        is_first
    }

    /// Failures in a row.
    pub fn failures(&self, cluster: &ObjectRef<KvCluster>) -> u32 {
        let all = self.0.lock();
        all.get(cluster).map_or(0, |remembered| remembered.failures)
    }

    /// Conflicts in a row, this one counted in.
    pub fn conflicted(&self, cluster: &ObjectRef<KvCluster>) -> u32 {
        let mut all = self.0.lock();
        all.get_mut(cluster).map_or(1, |remembered| {
            remembered.conflicts = remembered.conflicts.saturating_add(1);
            remembered.conflicts
        })
    }

    /// Why a person was needed when something failed last.
    pub fn stalled(&self, cluster: &ObjectRef<KvCluster>) -> Option<Stalled> {
        self.0.lock().get(cluster)?.stalled.clone()
    }

    /// A person is needed.
    pub fn stalls(&self, cluster: &ObjectRef<KvCluster>, stalled: Stalled) {
        if let Some(remembered) = self.0.lock().get_mut(cluster) {
            remembered.stalled = Some(stalled);
        }
    }

    /// The cluster is gone.
    pub fn forget(&self, cluster: &ObjectRef<KvCluster>) {
        self.0.lock().remove(cluster);
    }

    /// The status as it was last written.
    pub fn status(&self, cluster: &ObjectRef<KvCluster>) -> Option<KvClusterStatus> {
        self.0.lock().get(cluster)?.status.clone()
    }

    /// A status was written.
    pub fn wrote(&self, cluster: &ObjectRef<KvCluster>, status: KvClusterStatus, figures: Figures) {
        if let Some(remembered) = self.0.lock().get_mut(cluster) {
            remembered.status = Some(status);
            if figures == Figures::Due {
                remembered.figures_at = Some(Instant::now());
            }
        }
    }

    /// Whether figures may follow now.
    pub fn figures(&self, cluster: &ObjectRef<KvCluster>) -> Figures {
        let all = self.0.lock();
        let at = all
            .get(cluster)
            .and_then(|remembered| remembered.figures_at);
        match at {
            Some(at) if at.elapsed() < FIGURES_EVERY => Figures::Recent,
            _ => Figures::Due,
        }
    }

    /// The secret's text, if it was ever seen.
    pub fn secret_text(&self, cluster: &ObjectRef<KvCluster>) -> Option<Vec<u8>> {
        self.0.lock().get(cluster)?.secret_text.clone()
    }

    /// The secret was seen.
    pub fn saw_secret(&self, cluster: &ObjectRef<KvCluster>, text: &[u8]) -> Option<Secret> {
        let mut all = self.0.lock();
        let remembered = all.get_mut(cluster)?;
        if remembered.secret_text.as_deref() != Some(text) {
            remembered.secret = Secret::new(text).ok();
            remembered.secret_text = Some(text.to_vec());
        }
        remembered.secret.clone()
    }

    /// When to look again if nothing happens: as the plan says, and less and less often where it waits for
    /// the same as before.
    pub fn recheck(&self, cluster: &ObjectRef<KvCluster>, plan: &Plan) -> Duration {
        let mut all = self.0.lock();
        let Some(remembered) = all.get_mut(cluster) else {
            return plan.recheck;
        };
        let operations = plan.operations.iter();
        let waits: Vec<_> = operations
            .map(|operation| (operation.kind, operation.member.clone()))
            .collect();
        let now = Instant::now();
        let since = match remembered.waits.take() {
            Some((before, since)) if before == waits && plan.changes_nothing() => since,
            _ => now,
        };
        remembered.waits = Some((waits, since));
        if !plan.announce.is_empty() {
            return plan.recheck;
        }
        let patience = (now - since) / 4;
        plan.recheck.max(patience.min(plan::RECHECK))
    }

    /// A reconciliation went well.
    pub fn succeeded(&self, cluster: &ObjectRef<KvCluster>) {
        if let Some(remembered) = self.0.lock().get_mut(cluster) {
            remembered.failures = 0;
            remembered.conflicts = 0;
            remembered.stalled = None;
            remembered.rests_until = None;
        }
    }

    /// How long the cluster still rests after a failure. Events do not end that: what failed may
    /// make many, such as those of a namespace that is going.
    pub fn rest(&self, cluster: &ObjectRef<KvCluster>, generation: i64) -> Option<Duration> {
        let all = self.0.lock();
        let (failed, until) = all.get(cluster)?.rests_until?;
        let left = until.saturating_duration_since(Instant::now());
        (failed == generation && !left.is_zero()).then_some(left)
    }

    /// Who was not told of this placement a moment ago: until they were asked again, what they said
    /// before is older than what they were told.
    pub fn untold(
        &self,
        cluster: &ObjectRef<KvCluster>,
        placement: &Placement,
        all: &[Announce],
    ) -> Vec<Announce> {
        let clusters = self.0.lock();
        let remembered = clusters.get(cluster);
        let told = remembered.map(|remembered| &remembered.told);
        let now = Instant::now();
        let lately = |one: &&Announce| {
            let refused = remembered.and_then(|remembered| remembered.refused.get(&one.process));
            if refused.is_some_and(|(_, until)| now < *until) {
                return false;
            }
            let told = told.and_then(|told| told.get(&one.process));
            let age = (placement.epoch(), placement.parts().address_revision);
            told.is_none_or(|(epoch, revision, at)| {
                (*epoch, *revision) != age || at.elapsed() > TOLD
            })
        };
        all.iter().filter(lately).cloned().collect()
    }

    /// Of `all`, these were told; the others are not tried again for a while that doubles.
    pub fn told(
        &self,
        cluster: &ObjectRef<KvCluster>,
        placement: &Placement,
        all: &[Announce],
        told: &[Uuid],
    ) {
        if let Some(remembered) = self.0.lock().get_mut(cluster) {
            let (epoch, revision) = (placement.epoch(), placement.parts().address_revision);
            let now = Instant::now();
            remembered.told.retain(|_, (_, _, at)| at.elapsed() <= TOLD);
            let refused = &mut remembered.refused;
            refused.retain(|process, _| all.iter().any(|one| one.process == *process));
            for one in all {
                if told.contains(&one.process) {
                    refused.remove(&one.process);
                    let told = (epoch, revision, now);
                    remembered.told.insert(one.process, told);
                } else {
                    let (times, until) = refused.entry(one.process).or_insert((0, now));
                    let pause = UNTOLD_MIN * 2_u32.pow((*times).min(16));
                    *until = now + pause.min(UNTOLD_MAX);
                    *times += 1;
                }
            }
        }
    }

    /// A reconciliation failed: how long to wait before the next, between half and all of what
    /// doubles with every failure.
    pub fn failed(&self, cluster: &ObjectRef<KvCluster>, generation: i64, share: f64) -> Duration {
        let mut all = self.0.lock();
        let remembered = all
            .entry(cluster.clone())
            .or_insert_with(|| Remembered::of(""));
        remembered.failures = remembered.failures.saturating_add(1);
        let doublings = (remembered.failures - 1).min(16);
        let pause = (BACKOFF_MIN * 2_u32.pow(doublings)).min(BACKOFF_MAX);
        let pause = pause.mul_f64(0.5 + share / 2.0);
        remembered.rests_until = Some((generation, Instant::now() + pause));
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fixtures::{observed, validated},
        observed::Heard,
    };

    #[test]
    fn pauses_grow_to_a_minute_and_begin_anew_after_a_success() {
        let (memory, cluster) = (Memory::default(), ObjectRef::new("a").within("b"));
        memory.begin(&cluster, "1");
        let pauses: Vec<_> = (0..12)
            .map(|_| memory.failed(&cluster, 1, 1.0).as_millis())
            .collect();
        assert_eq!(pauses[..4], [200, 400, 800, 1600]);
        assert_eq!(pauses[11], 60_000);
        memory.succeeded(&cluster);
        assert_eq!(memory.failed(&cluster, 1, 0.0).as_millis(), 100);
    }

    #[test]
    fn events_do_not_end_a_rest_and_another_spec_does() {
        let (memory, cluster) = (Memory::default(), ObjectRef::new("a").within("b"));
        memory.begin(&cluster, "1");
        assert_eq!(memory.rest(&cluster, 1), None);
        for _ in 0..10 {
            memory.failed(&cluster, 1, 1.0);
        }
        assert!(memory.rest(&cluster, 1) > Some(Duration::from_secs(30)));
        assert_eq!(memory.rest(&cluster, 2), None);
        memory.succeeded(&cluster);
        assert_eq!(memory.rest(&cluster, 1), None);
    }

    #[test]
    fn who_takes_no_placement_is_told_again_after_pauses_that_grow() {
        let (memory, cluster) = (Memory::default(), ObjectRef::new("a").within("b"));
        memory.begin(&cluster, "1");
        let placement = crate::fixtures::placement();
        let one = |number| Announce {
            pod: "p".to_owned(),
            address: "a:1".to_owned(),
            process: Uuid::from_u128(number),
        };
        let all = [one(1), one(2)];
        assert_eq!(memory.untold(&cluster, &placement, &all), all);
        memory.told(&cluster, &placement, &all, &[Uuid::from_u128(1)]);
        assert_eq!(memory.untold(&cluster, &placement, &all), []);
        assert_eq!(memory.untold(&cluster, &placement, &[one(3)]), [one(3)]);
    }

    #[test]
    fn what_is_waited_for_long_is_looked_at_less_often() {
        let (memory, cluster) = (Memory::default(), ObjectRef::new("a").within("b"));
        memory.begin(&cluster, "1");
        let silent = |_| Heard::Silent("nobody is there".to_owned());
        let mut plan = plan::plan(&validated(), &observed(silent));
        let soon = plan.recheck;
        assert_eq!(memory.recheck(&cluster, &plan), soon);
        let long_ago = |ago| {
            let mut all = memory.0.lock();
            let remembered = all.get_mut(&cluster).expect("it was begun");
            let (_, since) = remembered.waits.as_mut().expect("it waited");
            *since = Instant::now().checked_sub(ago).expect("a recent time");
        };
        long_ago(Duration::from_secs(100));
        assert_eq!(memory.recheck(&cluster, &plan).as_secs(), 25);
        long_ago(Duration::from_secs(1_000));
        assert_eq!(memory.recheck(&cluster, &plan), plan::RECHECK);
        plan.operations[0].member = "another".to_owned();
        assert_eq!(memory.recheck(&cluster, &plan), soon, "that is news");
    }

    #[test]
    fn a_version_that_cannot_be_read_is_told_of_once() {
        let (memory, cluster) = (Memory::default(), ObjectRef::new("a").within("b"));
        let look = |version: &str| memory.is_first_look(&cluster, Some(version.to_owned()));
        assert_eq!([look("1"), look("1"), look("2")], [true, false, true]);
    }

    #[test]
    fn another_object_of_the_same_name_has_nothing_remembered() {
        let (memory, cluster) = (Memory::default(), ObjectRef::new("a").within("b"));
        memory.begin(&cluster, "1");
        memory.wrote(&cluster, KvClusterStatus::default(), Figures::Due);
        memory.begin(&cluster, "1");
        assert!(memory.status(&cluster).is_some());
        assert_eq!(memory.figures(&cluster), Figures::Recent);
        memory.begin(&cluster, "2");
        assert!(memory.status(&cluster).is_none());
        assert_eq!(memory.figures(&cluster), Figures::Due);
    }
}
