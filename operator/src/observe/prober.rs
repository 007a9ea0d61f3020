//! Asks every server and broker how it is, and says which cluster has news.
//!
//! Often while something is not as it should be, seldom at rest, and more and more seldom who does
//! not answer. Nobody waits for an answer but the prober.

mod schedule;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use k8s_openapi::api::core::v1::Pod;
use kube::{
    ResourceExt,
    runtime::reflector::{ObjectRef, Store},
};
use kvcore::status::{BrokerStatus, MemberStatus};
use parking_lot::RwLock;
use tokio::task::JoinSet;

use self::schedule::Schedule;
use super::caches::{Triggers, cluster_of};
use crate::{
    crd::KvCluster,
    http_client::HttpClient,
    names::{ADMIN_PORT, Component, HTTP_PORT},
    observed::{Heard, pods::PodFacts},
    plan::announce::at,
};

/// How often pods are looked at for whom to ask.
const TICK: Duration = Duration::from_millis(200);

/// Asked at the same time.
const AT_ONCE: usize = 64;

/// What servers and brokers last said, by the UID of their pods; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Reports(Arc<RwLock<HashMap<String, (Report, Instant)>>>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Report {
    Server(Heard),
    Broker(Option<Box<BrokerStatus>>),
}

impl Reports {
    /// What the server in this pod last said.
    pub fn server(&self, uid: &str) -> Heard {
        match self.0.read().get(uid) {
            Some((Report::Server(heard), at)) if is_fresh(heard, *at) => heard.clone(),
            Some((Report::Server(_), _)) => Heard::Silent("it was not heard lately".to_owned()),
            _ => Heard::NotYet,
        }
    }

    /// As if the server in this pod had said so.
    pub fn put_server(&self, uid: &str, status: MemberStatus) {
        let report = Report::Server(Heard::Answer(Box::new(status)));
        self.0
            .write()
            .insert(uid.to_owned(), (report, Instant::now()));
    }

    /// As if the broker in this pod had said so.
    pub fn put_broker(&self, uid: &str, status: BrokerStatus) {
        let report = Report::Broker(Some(Box::new(status)));
        self.0
            .write()
            .insert(uid.to_owned(), (report, Instant::now()));
    }

    /// What the broker in this pod last said.
    pub fn broker(&self, uid: &str) -> Option<BrokerStatus> {
        match self.0.read().get(uid) {
            Some((Report::Broker(heard), _)) => heard.as_deref().cloned(),
            _ => None,
        }
    }
}

/// Oldest answer of a server by which anything is decided: it is asked far more often, so an older one
/// means that asking has stopped.
const ANSWER_AGE_MAX: Duration = Duration::from_secs(20);

fn is_fresh(heard: &Heard, at: Instant) -> bool {
    heard.answer().is_none() || at.elapsed() <= ANSWER_AGE_MAX
}

/// Somebody to ask.
#[derive(Debug, Clone)]
struct Target {
    uid: String,
    address: String,
    component: Component,
    cluster: ObjectRef<KvCluster>,
}

/// Asks for ever.
pub async fn run(pods: Store<Pod>, http: HttpClient, reports: Reports, triggers: Triggers) {
    let mut schedule = Schedule::default();
    let mut asking: JoinSet<(Target, Report)> = JoinSet::new();
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = tick.tick() => {
                let pods = pods.state();
                forget_others(&pods, &reports);
                let room = AT_ONCE.saturating_sub(asking.len());
                let due = schedule.due(pods.iter().filter_map(|pod| askable(pod)), Instant::now(), room);
                let due = pods.iter().filter(|pod| due.contains(uid(pod)));
                for target in due.filter_map(|pod| target(pod)) {
                    asking.spawn(ask(http.clone(), target));
                }
            }
            Some(done) = asking.join_next() => {
                let (target, report) = match done {
                    Ok(done) => done,
                    // What it was asked for would wait for ever: end, and with it the operator.
                    Err(error) => return tracing::error!(%error, "asking a pod failed"),
                };
                schedule.answered(&target.uid, mood(&report), Instant::now());
                let is_news = note(&reports, &target.uid, report);
                if is_news && triggers.send(target.cluster).await.is_err() {
                    return;
                }
            }
        }
    }
}

fn uid(pod: &Pod) -> &str {
    pod.metadata.uid.as_deref().unwrap_or_default()
}

/// UID and version of a pod with an address; looked at often, so nothing is copied.
fn askable(pod: &Pod) -> Option<(&str, &str)> {
    pod.status.as_ref()?.pod_ip.as_ref()?;
    let stays = pod.metadata.deletion_timestamp.is_none();
    stays.then_some((uid(pod), pod.metadata.resource_version.as_deref()?))
}

fn target(pod: &Pod) -> Option<Target> {
    let facts = PodFacts::of(pod);
    let (component, port) = match pod.labels().get("app.kubernetes.io/component")?.as_str() {
        "server" => (Component::Server, ADMIN_PORT),
        "broker" => (Component::Broker, HTTP_PORT),
        _ => return None,
    };
    Some(Target {
        address: at(facts.address()?, port),
        uid: facts.uid,
        component,
        cluster: cluster_of(pod)?,
    })
}

async fn ask(http: HttpClient, target: Target) -> (Target, Report) {
    let report = match target.component {
        Component::Server => {
            let answer = http
                .get_json::<MemberStatus>(&target.address, "/status")
                .await;
            Report::Server(match answer {
                Ok(status) => Heard::Answer(Box::new(status)),
                Err(why) => Heard::Silent(why),
            })
        }
        Component::Broker | Component::Cluster => {
            let answer = http
                .get_json::<BrokerStatus>(&target.address, "/status")
                .await;
            Report::Broker(answer.ok().map(Box::new))
        }
    };
    (target, report)
}

fn mood(report: &Report) -> schedule::Mood {
    let ready = match report {
        Report::Server(Heard::Answer(status)) => status.ready,
        Report::Broker(Some(status)) => status.ready,
        Report::Server(_) | Report::Broker(None) => return schedule::Mood::Silent,
    };
    if ready {
        schedule::Mood::Content
    } else {
        schedule::Mood::Busy
    }
}

/// Keeps the report; whether it says something that a plan or a status would look at.
fn note(reports: &Reports, uid: &str, report: Report) -> bool {
    let mut reports = reports.0.write();
    let is_news = reports
        .get(uid)
        .is_none_or(|(before, _)| gist(before) != gist(&report));
    reports.insert(uid.to_owned(), (report, Instant::now()));
    is_news
}

/// The report without figures that change by themselves.
fn gist(report: &Report) -> Report {
    let mut report = report.clone();
    match &mut report {
        Report::Server(Heard::Answer(status)) => {
            status.keys = 0;
            status.tombstones = 0;
            status.memory_bytes = 0;
            status.log_bytes = 0;
            status.slots_behind = 0;
            status.slots_unsynced = status.slots_unsynced.min(1);
            status.reason = status.reason.as_deref().map(without_digits);
        }
        Report::Server(Heard::Silent(why)) => *why = without_digits(why),
        Report::Broker(Some(status)) => {
            status.reason = status.reason.as_deref().map(without_digits);
        }
        Report::Server(Heard::NotYet) | Report::Broker(None) => {}
    }
    report
}

fn without_digits(text: &str) -> String {
    text.chars().filter(|c| !c.is_ascii_digit()).collect()
}

/// Pods that are gone, or have no address any more, have said nothing.
fn forget_others(pods: &[Arc<Pod>], reports: &Reports) {
    let there: HashSet<&str> = pods
        .iter()
        .filter_map(|pod| Some(askable(pod)?.0))
        .collect();
    let has_others = reports
        .0
        .read()
        .keys()
        .any(|uid| !there.contains(uid.as_str()));
    if has_others {
        reports
            .0
            .write()
            .retain(|uid, _| there.contains(uid.as_str()));
    }
}
