//! One server, loaded as a broker would: by its peer protocol.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use kvcore::{
    key::Key,
    placement::Epoch,
    replica::Replica,
    status::MemberStatus,
    version::UnixMillis,
    wire::{Intent, Reply, Request, Scope, handshake::Expected},
};
use kvnet::{clock::SystemClock, peer::client::PeerClient, secret_file};
use tokio::task::JoinSet;

use crate::{
    kvasir::{self, Cluster, Shape},
    records,
    settings::Settings,
};

/// Writes on their way at once.
const AT_ONCE: u64 = 1_024;

/// A cluster of one server.
#[derive(Debug)]
pub(super) struct Member {
    cluster: Cluster,
}

impl Member {
    pub(super) fn start(settings: &Settings) -> Result<Self> {
        let shape = Shape {
            servers: 1,
            copies: 1,
            mode: "memory",
            sync: "never",
        };
        let cluster = Cluster::start(settings, shape)?;
        Ok(Self { cluster })
    }

    /// The server's process.
    pub(super) fn id(&self) -> u32 {
        self.cluster.servers[0]
    }

    /// Puts so many items.
    pub(super) async fn load(&mut self, items: u64, value: &str) -> Result<()> {
        let secret = secret_file::read(&self.cluster.directory().join("secret"))?;
        let status = kvasir::http(&self.cluster.admin, "/status")?;
        let status: MemberStatus = serde_json::from_str(&status).context("a status is JSON")?;
        let expected = Expected {
            cluster: None,
            member: None,
        };
        let client = PeerClient::start(self.cluster.peer.clone(), expected, secret);
        client.settled(Duration::from_secs(5)).await;
        let client = std::sync::Arc::new(client);
        let value = Bytes::from(value.to_owned());
        let mut tasks = JoinSet::new();
        for number in 0..AT_ONCE {
            let (client, value) = (client.clone(), value.clone());
            tasks.spawn(async move {
                for number in (number..items).step_by(AT_ONCE as usize) {
                    put(&client, status.epoch, number, &value).await?;
                }
                anyhow::Ok(())
            });
        }
        while let Some(done) = tasks.join_next().await {
            done??;
        }
        let since = Instant::now();
        while since.elapsed() < Duration::from_secs(1) {
            self.cluster.check()?;
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        Ok(())
    }
}

async fn put(client: &PeerClient, epoch: Epoch, number: u64, value: &Bytes) -> Result<()> {
    let key = Key::new(records::key(number))?;
    let now: UnixMillis = kvcore::time::Clock::now(&SystemClock);
    let request = Request::Put {
        scope: Scope {
            slot: key.slot(),
            epoch,
            began_at: now,
        },
        key,
        record: records::record(number, value),
        intent: Intent::Repair,
    };
    match client.call(request).await {
        Ok(Reply::Stored { .. }) => Ok(()),
        other => bail!("a put was answered {other:?}"),
    }
}
