//! The handshake with somebody in between who drops, changes, repeats and invents frames.

use bytes::Bytes;
use kvcore::{
    placement::{ClusterId, MemberId},
    wire::{
        Frame, RequestId, Secret,
        handshake::{
            ClientHandshake, ClientStep, Expected, HANDSHAKE_FRAME_BYTES_MAX, Reached,
            ServerHandshake, ServerStep,
        },
    },
};
use uuid::Uuid;

use crate::input::Input;

/// Frames that are delivered at most.
const ROUNDS_MAX: usize = 12;

/// Lets both sides talk over the one in between, and looks at whom they take each other for.
pub(super) fn play(mut input: Input<'_>) {
    let choices = input.byte();
    let same_secret = choices & 1 == 0;
    let me = Reached {
        cluster: (choices & 2 == 0).then(|| cluster(1)),
        member: member(10),
    };
    let expected = Expected {
        cluster: (choices & 4 == 0).then(|| cluster(1 + u128::from(choices & 8))),
        member: (choices & 16 == 0).then(|| member(10 + u128::from(choices & 32))),
    };
    let (mut client, hello) =
        ClientHandshake::start(secret("the cluster's secret"), expected, [1; 16]);
    let servers = if same_secret {
        "the cluster's secret"
    } else {
        "another secret of 16"
    };
    let mut server = ServerHandshake::new(secret(servers), me, [2; 16]);
    let (mut to_server, mut to_client) = (hello, None);
    for _ in 0..ROUNDS_MAX {
        if input.is_empty() {
            break;
        }
        let meddle = input.byte();
        if meddle & 1 == 0 {
            let received = meddled(&to_server, meddle, &mut input);
            match server.step(&received) {
                ServerStep::Send(frame) => to_client = Some(frame),
                ServerStep::Accept(frame) => {
                    assert!(same_secret, "a stranger was let in");
                    assert!(are_met(expected, me), "another one was let in");
                    to_client = Some(frame);
                }
                ServerStep::Reject(frame, _) => {
                    assert!(frame.body.len() < HANDSHAKE_FRAME_BYTES_MAX);
                    to_client = Some(frame);
                }
            }
        } else if let Some(frame) = &to_client {
            match client.step(&meddled(frame, meddle, &mut input)) {
                Ok(ClientStep::Send(frame)) => to_server = frame,
                Ok(ClientStep::Done(reached)) => {
                    assert!(same_secret, "a stranger was taken for a server");
                    assert_eq!(reached, me);
                    assert!(are_met(expected, me), "another one was taken");
                }
                Err(error) => drop(error.to_string()),
            }
        }
    }
}

/// What arrives of a frame.
fn meddled(frame: &Frame, how: u8, input: &mut Input<'_>) -> Frame {
    let mut frame = frame.clone();
    match how >> 1 & 3 {
        0 | 1 => {}
        2 => {
            let mut body = frame.body.to_vec();
            let at = input.index(body.len());
            if let Some(byte) = body.get_mut(at) {
                *byte ^= input.byte();
            }
            body.extend_from_slice(input.piece());
            frame.body = body.into();
        }
        _ => {
            frame.kind = input.byte();
            frame.id = RequestId(u64::from(input.byte()));
            frame.body = Bytes::copy_from_slice(input.piece());
        }
    }
    frame
}

fn are_met(expected: Expected, me: Reached) -> bool {
    let cluster = expected
        .cluster
        .zip(me.cluster)
        .is_none_or(|(expected, actual)| expected == actual);
    cluster && expected.member.is_none_or(|expected| expected == me.member)
}

fn secret(text: &str) -> Secret {
    Secret::new(text.as_bytes()).expect("long enough")
}

fn cluster(number: u128) -> ClusterId {
    ClusterId(Uuid::from_u128(number))
}

fn member(number: u128) -> MemberId {
    MemberId(Uuid::from_u128(number))
}
