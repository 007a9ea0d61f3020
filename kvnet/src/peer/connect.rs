//! Getting hold of a member: at the first of its addresses where it answers.

use kvcore::{
    placement::addresses,
    wire::{
        Secret,
        handshake::{ClientHandshake, ClientStep, Expected, Reached},
    },
};
use rand::Rng;
use tokio::{net::TcpStream, time::timeout};

use super::stream::{FrameReader, FrameWriter, split};
use crate::limits::{CONNECT_TIMEOUT, HANDSHAKE_TIMEOUT};

/// A connection on which both sides have proven themselves.
pub(super) struct Connected {
    pub(super) reader: FrameReader,
    pub(super) writer: FrameWriter,
    pub(super) reached: Reached,
}

/// Tries a member's addresses in their order, each with a time of its own. Who answers as somebody
/// else is no reason to give up: an IP may have gone to another pod meanwhile.
pub(super) async fn connect(
    text: &str,
    expected: Expected,
    secret: &Secret,
) -> Result<Connected, String> {
    let mut failures = Vec::new();
    for address in addresses(text) {
        match connect_to(address, expected, secret).await {
            Ok(connected) => return Ok(connected),
            Err(why) => failures.push((address, why)),
        }
    }
    Err(told(failures))
}

/// With several addresses it has to be said which one fails in which way.
fn told(mut failures: Vec<(&str, String)>) -> String {
    if failures.len() == 1 {
        return failures.remove(0).1;
    }
    let each: Vec<_> = failures
        .iter()
        .map(|(address, why)| format!("at {address}: {why}"))
        .collect();
    each.join("; ")
}

async fn connect_to(
    address: &str,
    expected: Expected,
    secret: &Secret,
) -> Result<Connected, String> {
    let connected = timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await;
    let limit_ms = CONNECT_TIMEOUT.as_millis();
    let socket = connected
        .map_err(|_| format!("no connection within {limit_ms} ms"))?
        .map_err(|error| error.to_string())?;
    let (mut reader, mut writer) = split(socket).map_err(|error| error.to_string())?;
    let shaken = handshake(&mut reader, &mut writer, expected, secret);
    let shaken = timeout(HANDSHAKE_TIMEOUT, shaken).await;
    let limit_s = HANDSHAKE_TIMEOUT.as_secs();
    let reached = shaken.map_err(|_| format!("no handshake within {limit_s} s"))??;
    reader.handshake_is_over();
    Ok(Connected {
        reader,
        writer,
        reached,
    })
}

async fn handshake(
    reader: &mut FrameReader,
    writer: &mut FrameWriter,
    expected: Expected,
    secret: &Secret,
) -> Result<Reached, String> {
    let mut nonce = [0; 16];
    rand::rng().fill_bytes(&mut nonce);
    let (mut handshake, hello) = ClientHandshake::start(secret.clone(), expected, nonce);
    writer.push(&hello);
    loop {
        writer.flush().await.map_err(|error| error.to_string())?;
        let frame = reader.next().await.map_err(|error| error.to_string())?;
        match handshake.step(&frame).map_err(|error| error.to_string())? {
            ClientStep::Send(frame) => writer.push(&frame),
            ClientStep::Done(reached) => return Ok(reached),
        }
    }
}
