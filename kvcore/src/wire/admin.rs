//! Proofs for writes over HTTP, on a server's admin port and on a broker's HTTP port: that they come
//! from who knows the cluster's secret.
//!
//! The secret is never sent. The process gives a nonce, and the proof covers it, the process by its
//! id, what is asked and the body. Nonces are not remembered: each carries the time of its end and
//! the process's own proof that it gave it, so that asking for many takes nobody else's away. Within
//! its minute a request that was overheard can be sent again, which changes nothing: a placement
//! that is in force is adopted again, and an older one refused.

use std::fmt::Write as _;

use uuid::Uuid;

use super::secret::{PROOF_BYTES, Secret};
use crate::version::UnixMillis;

/// How long a nonce is good for, in milliseconds: time to send a large body over a slow line.
pub const ADMIN_NONCE_MS: u64 = 60_000;

/// Starts the header's value.
const SCHEME: &str = "Kvasir ";

/// What a placement is offered by.
pub const PUT_PLACEMENT: &str = "PUT /placement";

const TIME_BYTES: usize = 8;

/// Why a write is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AdminProofError {
    /// There is no proof, or nothing that looks like one.
    #[error("writes need `Authorization: Kvasir NONCE PROOF`, with a nonce from GET /nonce")]
    Missing,
    /// The nonce is not one that this process gave, or it gave it too long ago.
    #[error("the nonce is not this process's or too old: ask for another by GET /nonce")]
    Nonce,
    /// The proof is made with another secret, or for something else.
    #[error("the proof does not fit: use the cluster's secret, and this very body")]
    Proof,
}

/// A nonce that the process with this id, a member's or a broker's, gives now.
pub fn nonce(secret: &Secret, process: impl Into<Uuid>, now: UnixMillis) -> String {
    let end = now.plus(ADMIN_NONCE_MS).0.to_be_bytes();
    let given = secret.proof(&given_parts(&process.into(), &end));
    to_hex(&[&end[..], &given].concat())
}

/// The value of the `Authorization` header for a request with this body.
pub fn authorization(
    secret: &Secret,
    process: impl Into<Uuid>,
    nonce: &str,
    asked: (&str, &[u8]),
) -> String {
    let proof = secret.proof(&asked_parts(&process.into(), nonce, asked));
    format!("{SCHEME}{nonce} {}", to_hex(&proof))
}

/// Whether the header proves that who asks knows the secret.
pub fn check(
    secret: &Secret,
    process: impl Into<Uuid>,
    now: UnixMillis,
    header: Option<&str>,
    asked: (&str, &[u8]),
) -> Result<(), AdminProofError> {
    let process = process.into();
    let given = header.and_then(|value| value.strip_prefix(SCHEME));
    let (nonce, proof) = given
        .and_then(|value| value.split_once(' '))
        .ok_or(AdminProofError::Missing)?;
    let known = from_hex::<{ TIME_BYTES + PROOF_BYTES }>(nonce).ok_or(AdminProofError::Nonce)?;
    let (end, tag) = known.split_at(TIME_BYTES);
    if !secret.verify(&given_parts(&process, end), tag) {
        return Err(AdminProofError::Nonce);
    }
    let left = u64::from_be_bytes(end.try_into().expect("eight bytes"));
    // A clock that was set back must not make it last.
    if !(now.0..=now.plus(ADMIN_NONCE_MS).0).contains(&left) {
        return Err(AdminProofError::Nonce);
    }
    let proof = from_hex::<PROOF_BYTES>(proof).ok_or(AdminProofError::Proof)?;
    if !secret.verify(&asked_parts(&process, nonce, asked), &proof) {
        return Err(AdminProofError::Proof);
    }
    Ok(())
}

/// What makes a nonce the process's own.
fn given_parts<'a>(process: &'a Uuid, end: &'a [u8]) -> [&'a [u8]; 3] {
    [b"admin nonce", process.as_bytes(), end]
}

/// What a proof covers.
fn asked_parts<'a>(
    process: &'a Uuid,
    nonce: &'a str,
    (what, body): (&'a str, &'a [u8]),
) -> [&'a [u8]; 5] {
    let (nonce, what) = (nonce.as_bytes(), what.as_bytes());
    [b"admin", process.as_bytes(), nonce, what, body]
}

fn to_hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        write!(text, "{byte:02x}").expect("a string takes it");
    }
    text
}

fn from_hex<const BYTES: usize>(text: &str) -> Option<[u8; BYTES]> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let mut bytes = [0; BYTES];
    if text.len() != 2 * BYTES {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = u8::try_from(16 * digit(pair[0])? + digit(pair[1])?).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::placement::MemberId;

    const NOW: UnixMillis = UnixMillis(1_700_000_000_000);
    const BODY: (&str, &[u8]) = (PUT_PLACEMENT, b"a placement");

    fn secret(text: &str) -> Secret {
        Secret::new(text.as_bytes()).expect("long enough")
    }

    #[test]
    fn a_proof_counts_for_its_member_its_body_its_minute_and_its_secret_alone() {
        let (ours, theirs) = (
            secret("0123456789abcdef"),
            secret("another secret, also long"),
        );
        let (member, other) = (MemberId(Uuid::from_u128(1)), MemberId(Uuid::from_u128(2)));
        let nonce = nonce(&ours, member, NOW);
        let header = authorization(&ours, member, &nonce, BODY);
        assert!(!header.contains("0123456789abcdef"));
        let check = |who, now, header: &str, what| check(&ours, who, now, Some(header), what);
        assert_eq!(check(member, NOW, &header, BODY), Ok(()));
        assert_eq!(
            check(member, NOW.plus(ADMIN_NONCE_MS), &header, BODY),
            Ok(())
        );
        let old = Err(AdminProofError::Nonce);
        assert_eq!(
            check(member, NOW.plus(ADMIN_NONCE_MS + 1), &header, BODY),
            old
        );
        assert_eq!(check(member, UnixMillis(NOW.0 - 1), &header, BODY), old);
        assert_eq!(check(other, NOW, &header, BODY), old);
        let wrong = Err(AdminProofError::Proof);
        assert_eq!(
            check(member, NOW, &header, (PUT_PLACEMENT, b"other")),
            wrong
        );
        assert_eq!(check(member, NOW, &header, ("PUT /other", BODY.1)), wrong);
        let stranger = authorization(&theirs, member, &nonce, BODY);
        assert_eq!(check(member, NOW, &stranger, BODY), wrong);
        let forged = super::nonce(&theirs, member, NOW);
        let forged = authorization(&theirs, member, &forged, BODY);
        assert_eq!(check(member, NOW, &forged, BODY), old);
    }

    #[test]
    fn what_is_no_proof_is_refused() {
        let (ours, member) = (secret("0123456789abcdef"), MemberId(Uuid::from_u128(1)));
        for header in [
            None,
            Some("Bearer 0123456789abcdef"),
            Some("Kvasir "),
            Some(""),
        ] {
            let refused = check(&ours, member, NOW, header, BODY);
            assert_eq!(refused, Err(AdminProofError::Missing), "{header:?}");
        }
        for header in ["Kvasir x y", "Kvasir \u{e9}\u{e9} y"] {
            let refused = check(&ours, member, NOW, Some(header), BODY);
            assert_eq!(refused, Err(AdminProofError::Nonce), "{header:?}");
        }
    }
}
