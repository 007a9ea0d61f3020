//! Storing a value only where there is none.

use kvcore::{key::Key, value::Value};

use super::Broker;
use crate::{
    machine::{Failure, Outcome, read::ReadAnswer, store::Content},
    metrics::Kind,
};

/// What an add did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Added {
    /// The value is stored.
    Stored,
    /// There was a value, which stays.
    Exists,
}

impl Broker {
    /// Stores a value under a key that has none.
    ///
    /// The check and the write are two steps: of two adds at the same time both may store, and
    /// the later version stays.
    pub async fn add(&self, key: Key, value: &Value) -> Outcome<Added> {
        let deadline = self.deadline();
        let (meta, bytes) = match value.to_stored() {
            Ok(stored) => stored,
            Err(error) => return Outcome::NotDone(Failure::Refused(error.to_string())),
        };
        let seen = match self.presence_by(key.clone(), deadline).await {
            Outcome::Done(ReadAnswer { value: Some(_), .. }) => {
                return Outcome::Done(Added::Exists);
            }
            Outcome::Done(answer) => answer.version,
            // A read has no effect that could be left behind unknown.
            Outcome::NotDone(failure) | Outcome::Unknown(failure) => {
                return Outcome::NotDone(failure);
            }
        };
        let content = Content::Value(meta, bytes);
        match self.write(Kind::Put, key, content, seen, deadline).await {
            Outcome::Done(_) => Outcome::Done(Added::Stored),
            Outcome::NotDone(failure) => Outcome::NotDone(failure),
            Outcome::Unknown(failure) => Outcome::Unknown(failure),
        }
    }
}
