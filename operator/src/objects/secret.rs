//! The Secret with the cluster's secret, by which its processes know each other.

use std::{collections::BTreeMap, fmt::Write as _};

use k8s_openapi::{ByteString, api::core::v1::Secret};
use sha2::{Digest, Sha256};

use super::metadata;
use crate::{names::Component, validate::Validated};

/// Key of the Secret under which the secret stands.
pub const KEY: &str = "secret";

/// A Secret with this text.
pub fn build(wanted: &Validated, text: &str) -> Secret {
    Secret {
        metadata: metadata(wanted, wanted.names.secret(), Component::Cluster),
        type_: Some("Opaque".to_owned()),
        data: Some(BTreeMap::from([(
            KEY.to_owned(),
            ByteString(text.as_bytes().to_vec()),
        )])),
        ..Secret::default()
    }
}

/// What the Secret holds, if anything.
pub fn text(secret: &Secret) -> Option<&[u8]> {
    let data = secret.data.as_ref()?.get(KEY)?;
    Some(&data.0)
}

/// Twelve digits that tell one secret from another without giving it away.
pub fn digest(secret: &Secret) -> String {
    let digest = Sha256::digest(text(secret).unwrap_or_default());
    let mut digits = String::new();
    for byte in digest.iter().take(6) {
        write!(digits, "{byte:02x}").expect("a string takes it");
    }
    digits
}
