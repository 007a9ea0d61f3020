//! Who is let in and who is not.

use proptest::prelude::*;

use super::*;

fn secret(text: &str) -> Secret {
    Secret::new(text.as_bytes()).expect("long enough")
}

fn cluster(number: u128) -> ClusterId {
    ClusterId(Uuid::from_u128(number))
}

fn member(number: u128) -> MemberId {
    MemberId(Uuid::from_u128(number))
}

/// Runs both sides against each other.
fn shake(
    client_secret: &str,
    expected: Expected,
    server_secret: &str,
    me: Reached,
) -> Result<Reached, HandshakeError> {
    let (mut client, mut to_server) =
        ClientHandshake::start(secret(client_secret), expected, [1; 16]);
    let mut server = ServerHandshake::new(secret(server_secret), me, [2; 16]);
    for _ in 0..3 {
        let (ServerStep::Send(answer) | ServerStep::Accept(answer) | ServerStep::Reject(answer, _)) =
            server.step(&to_server);
        match client.step(&answer)? {
            ClientStep::Send(frame) => to_server = frame,
            ClientStep::Done(reached) => return Ok(reached),
        }
    }
    panic!("the handshake has two round trips");
}

const ME: Reached = Reached {
    cluster: Some(ClusterId(Uuid::from_u128(1))),
    member: MemberId(Uuid::from_u128(10)),
};
const GOOD: &str = "a secret of the cluster";

#[test]
fn the_right_names_and_secret_are_welcome() {
    let expected = Expected {
        cluster: Some(cluster(1)),
        member: Some(member(10)),
    };
    assert_eq!(shake(GOOD, expected, GOOD, ME), Ok(ME));
    assert_eq!(shake(GOOD, Expected::default(), GOOD, ME), Ok(ME));
    let blank = Reached {
        cluster: None,
        ..ME
    };
    assert_eq!(shake(GOOD, expected, GOOD, blank), Ok(blank));
}

#[test]
fn mismatches_are_named() {
    let refuse = |expected, client_secret| {
        shake(client_secret, expected, GOOD, ME)
            .unwrap_err()
            .to_string()
    };
    assert!(refuse(Expected::default(), "another secret of 16").contains("secret does not match"));
    let other = Expected {
        cluster: Some(cluster(2)),
        member: None,
    };
    assert!(refuse(other, GOOD).contains("belongs to cluster"));
    let other = Expected {
        cluster: None,
        member: Some(member(11)),
    };
    assert!(refuse(other, GOOD).contains("answers at this address"));
}

#[test]
fn a_stranger_learns_nothing_of_the_server() {
    // The names are wrong as well, but only the secret is spoken of.
    let other = Expected {
        cluster: Some(cluster(2)),
        member: Some(member(3)),
    };
    let error = shake("another secret of 16", other, GOOD, ME)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("secret") && !error.contains(&ME.member.to_string()),
        "{error}"
    );
}

#[test]
fn a_server_that_does_not_know_the_secret_is_found_out() {
    let (mut client, _) = ClientHandshake::start(secret(GOOD), Expected::default(), [1; 16]);
    let mut challenge = BytesMut::new();
    challenge.put_u16_le(PROTOCOL_VERSION);
    challenge.put_slice(&[2; 16]);
    client.step(&frame(CHALLENGE, challenge)).expect("a proof");
    let mut welcome = BytesMut::new();
    welcome.put_slice(&[7; 32 + PROOF_BYTES]);
    let error = client.step(&frame(WELCOME, welcome)).unwrap_err();
    assert_eq!(error, HandshakeError::Secret);
}

#[test]
fn another_protocol_version_is_refused() {
    let mut server = ServerHandshake::new(secret(GOOD), ME, [2; 16]);
    let mut hello = BytesMut::new();
    hello.put_u16_le(99);
    let ServerStep::Reject(_, error) = server.step(&frame(HELLO, hello)) else {
        panic!()
    };
    assert_eq!(error, HandshakeError::Protocol { theirs: 99 });
}

proptest! {
    #[test]
    fn arbitrary_frames_are_rejected(kind in any::<u8>(),
        body in prop::collection::vec(any::<u8>(), 0..120)) {
        let received = Frame { kind, id: RequestId(0), body: body.into() };
        let mut server = ServerHandshake::new(secret(GOOD), ME, [2; 16]);
        prop_assert!(!matches!(server.step(&received), ServerStep::Accept(_)));
        prop_assert!(!matches!(server.step(&received), ServerStep::Accept(_)));
        let (mut client, _) =
            ClientHandshake::start(secret(GOOD), Expected::default(), [1; 16]);
        prop_assert!(!matches!(client.step(&received), Ok(ClientStep::Done(_))));
    }
}
