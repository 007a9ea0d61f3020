//! One name with several servers behind it, as that of a headless Service in Kubernetes.

use std::{io, net::SocketAddr, sync::Mutex, time::Duration};

use broker::shell::first_placement::{
    Bootstrap, FirstPlacementError, Names, ServerAddress, Unreached, Wish, learn_or_make_by,
};
use futures_util::future::{BoxFuture, FutureExt, ready};
use kvcore::{
    placement::{Placement, Quorums},
    wire::Request,
};
use tokio::net::TcpListener;

use crate::first_placement::{Servers, servers};

const LINE: (&str, u16) = ("demo-servers.ns.svc", 7400);

/// What the name leads to, one answer after the other; the last one stays.
struct Headless(Mutex<Vec<Vec<SocketAddr>>>);

impl Names for Headless {
    fn resolve<'a>(
        &'a self,
        host: &'a str,
        port: u16,
    ) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>> {
        assert_eq!((host, port), LINE);
        let mut answers = self.0.lock().expect("nobody panicked");
        let now = answers[0].clone();
        if answers.len() > 1 {
            answers.remove(0);
        }
        ready(Ok(now)).boxed()
    }
}

fn at(server: &ServerAddress) -> SocketAddr {
    server.to_string().parse().expect("an IP address")
}

/// Nobody listens there.
fn nobody() -> SocketAddr {
    "127.0.0.1:1".parse().expect("an address")
}

async fn found(
    servers: &Servers,
    answers: Vec<Vec<SocketAddr>>,
    bootstrap: Bootstrap,
) -> Result<(Placement, Vec<Unreached>), FirstPlacementError> {
    let line = ServerAddress {
        host: LINE.0.to_owned(),
        port: LINE.1,
        zone: String::new(),
    };
    let wish = Wish {
        copies: 1,
        quorums: Quorums::default(),
        bootstrap,
    };
    let names = Headless(Mutex::new(answers));
    let limit = Duration::from_secs(20);
    learn_or_make_by(&names, &[line], wish, &servers.secret, limit).await
}

/// Three servers, of which the last alone has a placement.
async fn one_of_three() -> (Servers, Placement) {
    let servers = servers(3).await;
    let members = servers.members.iter().zip(&servers.addresses);
    let members = members.map(|(member, address)| kvcore::placement::Member {
        id: member.id,
        address: address.to_string(),
        zone: String::new(),
        weight: 1,
    });
    let made = broker::shell::first_placement::make(members.collect(), 3, Quorums::default());
    let placement = made.expect("valid");
    let way = servers.members[2].way();
    assert!(way.call(Request::Adopt(placement.clone())).await.is_ok());
    (servers, placement)
}

#[tokio::test]
async fn whoever_of_them_has_a_placement_is_found() {
    let (servers, placement) = one_of_three().await;
    // It takes connections and never says a word, as a pod that is stopped.
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let addresses = vec![
        nobody(),
        silent.local_addr().expect("bound"),
        at(&servers.addresses[0]),
        at(&servers.addresses[2]),
    ];
    let (learned, unreached) = found(&servers, vec![addresses], Bootstrap::No)
        .await
        .expect("one has it");
    assert_eq!(learned.digest(), placement.digest());
    assert_eq!(unreached, []);
    // One that was forgotten when the others got it has it now.
    let forgotten = servers.members[0].placement().expect("adopted");
    assert_eq!(forgotten.digest(), placement.digest());
}

#[tokio::test]
async fn the_name_is_looked_up_again_until_somebody_answers() {
    let (servers, placement) = one_of_three().await;
    let answers = vec![
        vec![],
        vec![nobody()],
        vec![nobody(), at(&servers.addresses[2])],
    ];
    let learned = found(&servers, answers, Bootstrap::No).await;
    assert_eq!(learned.expect("found").0.digest(), placement.digest());
}

#[tokio::test]
async fn contradictions_behind_one_name_are_told_with_both_places() {
    let (servers, placement) = one_of_three().await;
    let mut parts = placement.parts().clone();
    parts.members[0].zone = "b".to_owned();
    let other = Placement::new(parts).expect("valid");
    let way = servers.members[1].way();
    assert!(way.call(Request::Adopt(other)).await.is_ok());
    let addresses = servers.addresses.iter().map(at).collect();
    let error = found(&servers, vec![addresses], Bootstrap::No).await;
    let error = error.unwrap_err().to_string();
    for server in &servers.addresses[1..] {
        let place = format!("demo-servers.ns.svc:7400 at {}", at(server));
        assert!(error.contains(&place), "{error}");
    }
}

#[tokio::test]
async fn several_blank_servers_under_one_name_are_not_taken_for_one() {
    let servers = servers(2).await;
    let addresses: Vec<_> = servers.addresses.iter().map(at).collect();
    let error = found(&servers, vec![addresses.clone()], Bootstrap::Yes).await;
    let error = error.unwrap_err().to_string();
    assert!(error.contains("leads to 2 servers"), "{error}");
    assert!(servers.members.iter().all(|m| m.placement().is_none()));
    // As `localhost`, which may lead to an IPv6 address where nobody listens.
    let made = found(&servers, vec![vec![nobody(), addresses[0]]], Bootstrap::Yes).await;
    assert_eq!(made.expect("made").0.members().len(), 1);
}
