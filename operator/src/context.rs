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
    crd::{KvCluster, KvClusterStatus},
    http_client::HttpClient,
    lease::Leadership,
    metrics::Metrics,
    observe::{caches::Caches, prober::Reports},
    plan::announce::Announce,
    status::Figures,
};

/// How often figures in a status may follow.
const FIGURES_EVERY: Duration = Duration::from_mins(1);

/// First pause after a failure; each next one is twice as long.
const BACKOFF_MIN: Duration = Duration::from_millis(200);

/// Longest pause after failures.
const BACKOFF_MAX: Duration = Duration::from_mins(1);

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

#[derive(Debug, Default)]
struct Remembered {
    uid: String,
    failures: u32,
    /// After failures: not before then, unless the spec is another one.
    rests_until: Option<(i64, Instant)>,
    /// Who was told of which placement, and when.
    told: HashMap<Uuid, (Epoch, u64, Instant)>,
    /// The status as it was last written: the copy of the API server's may be older.
    status: Option<KvClusterStatus>,
    figures_at: Option<Instant>,
    /// The secret, so that a lost one is put back as it was.
    secret: Option<Secret>,
    secret_text: Option<Vec<u8>>,
}

impl Memory {
    /// Begins a reconciliation; another object of the same name has nothing remembered.
    pub fn begin(&self, cluster: &ObjectRef<KvCluster>, uid: &str) {
        let mut all = self.0.lock();
        let remembered = all.entry(cluster.clone()).or_default();
        if remembered.uid != uid {
            *remembered = Remembered {
                uid: uid.to_owned(),
                ..Remembered::default()
            };
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

    /// A reconciliation went well.
    pub fn succeeded(&self, cluster: &ObjectRef<KvCluster>) {
        if let Some(remembered) = self.0.lock().get_mut(cluster) {
            remembered.failures = 0;
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
        let told = clusters.get(cluster).map(|remembered| &remembered.told);
        let lately = |one: &&Announce| {
            let told = told.and_then(|told| told.get(&one.process));
            let age = (placement.epoch(), placement.parts().address_revision);
            told.is_none_or(|(epoch, revision, at)| {
                (*epoch, *revision) != age || at.elapsed() > TOLD
            })
        };
        all.iter().filter(lately).cloned().collect()
    }

    /// These were told.
    pub fn told(&self, cluster: &ObjectRef<KvCluster>, placement: &Placement, all: Vec<Uuid>) {
        if let Some(remembered) = self.0.lock().get_mut(cluster) {
            let (epoch, revision) = (placement.epoch(), placement.parts().address_revision);
            let now = Instant::now();
            remembered.told.retain(|_, (_, _, at)| at.elapsed() <= TOLD);
            let told = all
                .into_iter()
                .map(|process| (process, (epoch, revision, now)));
            remembered.told.extend(told);
        }
    }

    /// A reconciliation failed: how long to wait before the next, between half and all of what
    /// doubles with every failure.
    pub fn failed(&self, cluster: &ObjectRef<KvCluster>, generation: i64, share: f64) -> Duration {
        let mut all = self.0.lock();
        let remembered = all.entry(cluster.clone()).or_default();
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
