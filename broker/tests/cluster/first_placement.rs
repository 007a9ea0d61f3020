//! The first placement, over real sockets.

use std::{sync::Arc, time::Duration};

use broker::shell::first_placement::{
    Bootstrap, FirstPlacementError, ServerAddress, learn_or_make,
};
use kvcore::{
    placement::{Placement, Quorums},
    wire::{Secret, handshake::Reached},
};
use kvnet::{
    peer::server::{self, Identity},
    shutdown::{self, Shutdown, Trigger},
};
use tokio::net::TcpListener;

use crate::{member::Member, support::member_id};

pub(crate) const SECRET: &[u8] = b"a secret of the tests";

struct Named(Arc<Member>);

impl Identity for Named {
    fn reached(&self) -> Reached {
        Reached {
            cluster: self.0.placement().map(|placement| placement.cluster()),
            member: self.0.id,
        }
    }
}

pub(crate) struct Servers {
    pub(crate) members: Vec<Arc<Member>>,
    pub(crate) addresses: Vec<ServerAddress>,
    pub(crate) secret: Secret,
    _trigger: Trigger,
}

pub(crate) async fn serve(
    member: &Arc<Member>,
    secret: &Secret,
    shutdown: &Shutdown,
) -> ServerAddress {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    let replica = member.way();
    let identity = Arc::new(Named(Arc::clone(member)));
    let (secret, shutdown) = (secret.clone(), shutdown.clone());
    tokio::spawn(server::serve(listener, replica, identity, secret, shutdown));
    ServerAddress {
        host: "127.0.0.1".to_owned(),
        port,
        zone: String::new(),
    }
}

pub(crate) async fn servers(count: u128) -> Servers {
    let secret = Secret::new(SECRET).expect("long enough");
    let (trigger, shutdown) = shutdown::channel();
    let members: Vec<_> = (1..=count)
        .map(|n| Arc::new(Member::new(member_id(n))))
        .collect();
    let mut addresses = Vec::new();
    for member in &members {
        addresses.push(serve(member, &secret, &shutdown).await);
    }
    Servers {
        members,
        addresses,
        secret,
        _trigger: trigger,
    }
}

impl Servers {
    async fn placement(
        &self,
        addresses: &[ServerAddress],
        bootstrap: Bootstrap,
    ) -> Result<Placement, FirstPlacementError> {
        let limit = Duration::from_millis(600);
        let quorums = Quorums::default();
        let made = learn_or_make(addresses, 2, quorums, bootstrap, &self.secret, limit).await;
        made.map(|(placement, _)| placement)
    }
}

#[tokio::test]
async fn two_brokers_at_once_make_the_same() {
    let servers = servers(3).await;
    let mut turned = servers.addresses.clone();
    turned.reverse();
    let (one, other) = tokio::join!(
        servers.placement(&servers.addresses, Bootstrap::Yes),
        servers.placement(&turned, Bootstrap::Yes),
    );
    let (one, other) = (one.expect("made"), other.expect("made"));
    assert_eq!(
        (one.digest(), one.cluster()),
        (other.digest(), other.cluster())
    );
    for member in &servers.members {
        assert_eq!(member.placement().expect("adopted").digest(), one.digest());
    }
    // Whoever comes later, with other wishes, takes what there is.
    let later = servers
        .placement(&servers.addresses[..1], Bootstrap::No)
        .await;
    assert_eq!(later.expect("learned").digest(), one.digest());
}

#[tokio::test]
async fn nothing_is_made_without_everybody() {
    let servers = servers(2).await;
    let mut addresses = servers.addresses.clone();
    addresses.push(ServerAddress {
        host: "no-such-host.invalid".to_owned(),
        port: 7400,
        zone: String::new(),
    });
    addresses.push(ServerAddress {
        port: 1,
        ..addresses[0].clone()
    });
    let error = servers
        .placement(&addresses, Bootstrap::Yes)
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("unknown host `no-such-host.invalid`"),
        "{error}"
    );
    assert!(error.contains("127.0.0.1:1: "), "{error}");
    assert!(
        servers
            .members
            .iter()
            .all(|member| member.placement().is_none())
    );
    let error = servers
        .placement(&servers.addresses, Bootstrap::No)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("--bootstrap"), "{error}");
}

#[tokio::test]
async fn one_server_listed_twice_is_named() {
    let servers = servers(1).await;
    let secret = servers.secret.clone();
    let (_trigger, shutdown) = shutdown::channel();
    let again = serve(&servers.members[0], &secret, &shutdown).await;
    let addresses = [servers.addresses[0].clone(), again];
    let error = servers
        .placement(&addresses, Bootstrap::Yes)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("are the same server"), "{error}");
}

#[tokio::test]
async fn an_interrupted_beginning_is_completed() {
    let servers = servers(3).await;
    let made = servers
        .placement(&servers.addresses, Bootstrap::Yes)
        .await
        .expect("made");
    let forgetful = self::servers(3).await;
    let first = forgetful.members[0]
        .way()
        .call(kvcore::wire::Request::Adopt(made.clone()))
        .await;
    assert!(first.is_ok());
    let learned = forgetful
        .placement(&forgetful.addresses, Bootstrap::Yes)
        .await;
    assert_eq!(learned.expect("learned").digest(), made.digest());
    for member in &forgetful.members {
        assert_eq!(member.placement().expect("adopted").digest(), made.digest());
    }
}

#[tokio::test]
async fn placements_that_contradict_each_other_are_refused() {
    let servers = servers(3).await;
    let one = servers
        .placement(&servers.addresses[..2], Bootstrap::Yes)
        .await
        .expect("made");
    let other = broker::shell::first_placement::make(one.members().to_vec(), 1, Quorums::default());
    let adopt = kvcore::wire::Request::Adopt(other.expect("valid"));
    assert!(servers.members[2].way().call(adopt).await.is_ok());
    let error = servers
        .placement(&servers.addresses, Bootstrap::Yes)
        .await
        .unwrap_err();
    assert!(
        matches!(error, FirstPlacementError::TwoPlacements(..)),
        "{error}"
    );
}
