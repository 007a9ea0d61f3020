//! Clusters in memory for tests.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use broker::{
    command::Command,
    machine::{Outcome, read::Demand},
    shell::{Broker, BrokerOptions, Dial, first_placement},
};
use kvcore::{
    document::Document,
    key::Key,
    placement::{ClusterId, Member as Placed, MemberId, Placement, Quorums},
    replica::Replica,
    time::Clock,
    value::{Content, Value},
    version::UnixMillis,
    wire::Request,
};
use kvnet::clock::SystemClock;
use uuid::Uuid;

use crate::member::Member;

/// A broker and its members.
pub(crate) struct Cluster {
    pub(crate) broker: Broker,
    pub(crate) members: Vec<Arc<Member>>,
    pub(crate) clock: Arc<ShiftedClock>,
    pub(crate) placement: Placement,
}

/// The machine's clock, and some more.
#[derive(Debug, Default)]
pub(crate) struct ShiftedClock(pub(crate) AtomicU64);

impl Clock for ShiftedClock {
    fn now(&self) -> UnixMillis {
        SystemClock.now().plus(self.0.load(Ordering::Relaxed))
    }
}

#[derive(Debug)]
pub(crate) struct MemoryDial(pub(crate) HashMap<MemberId, Arc<Member>>);

impl Dial for MemoryDial {
    fn dial(&self, _: ClusterId, member: &Placed) -> Arc<dyn Replica> {
        self.0[&member.id].way()
    }
}

pub(crate) fn member_id(number: u128) -> MemberId {
    MemberId(Uuid::from_u128(number))
}

pub(crate) async fn cluster(members: usize, copies: usize) -> Cluster {
    cluster_with(
        members,
        copies,
        BrokerOptions {
            operation: Duration::from_millis(800),
            ..BrokerOptions::default()
        },
    )
    .await
}

pub(crate) async fn cluster_with(members: usize, copies: usize, options: BrokerOptions) -> Cluster {
    let ids: Vec<_> = (1..=members as u128).map(member_id).collect();
    let placed = ids.iter().zip(7001..).map(|(&id, port)| Placed {
        id,
        address: format!("10.0.0.1:{port}"),
        zone: String::new(),
        weight: 1,
    });
    let placement = first_placement::make(placed.collect(), copies, Quorums::default());
    let placement = placement.expect("a valid placement");
    let members: Vec<_> = ids.iter().map(|&id| Arc::new(Member::new(id))).collect();
    for member in &members {
        let adopted = member.way().call(Request::Adopt(placement.clone())).await;
        assert!(adopted.is_ok());
    }
    let by_id = members.iter().map(|member| (member.id, Arc::clone(member)));
    let dial = Arc::new(MemoryDial(by_id.collect()));
    let clock = Arc::new(ShiftedClock::default());
    let time = Arc::clone(&clock) as Arc<dyn Clock>;
    let broker = Broker::start(placement.clone(), dial, time, options).await;
    Cluster {
        broker,
        members,
        clock,
        placement,
    }
}

impl Cluster {
    /// The response to one line.
    pub(crate) async fn say(&self, line: impl AsRef<[u8]>) -> String {
        match Command::parse(line.as_ref()) {
            Ok(command) => command.execute(&self.broker).await.to_text(),
            Err(error) => broker::command::Response::from(error).to_text(),
        }
    }

    /// The integer under a key, as a quorum knows it.
    pub(crate) async fn int(&self, name: &str) -> Option<i64> {
        match self.broker.get(key(name), Demand::Quorum).await {
            Outcome::Done(answer) => answer.value.map(|(meta, bytes)| {
                match Value::from_stored(&meta, bytes)
                    .expect("stored by a broker")
                    .content
                {
                    Content::Document(Document::Int(number)) => number,
                    other => panic!("{other:?} is no integer"),
                }
            }),
            other => panic!("not read: {other:?}"),
        }
    }
}

pub(crate) fn key(name: &str) -> Key {
    Key::copy_from(name.as_bytes()).expect("a short key")
}

pub(crate) fn int(number: i64) -> Value {
    Value::document(Document::Int(number))
}
