//! ServiceAccounts: servers and brokers never talk to the API server, so no token is mounted.

use k8s_openapi::api::core::v1::ServiceAccount;

use super::metadata;
use crate::{names::Component, validate::Validated};

/// One for the servers, one for the brokers.
pub(super) fn build(wanted: &Validated) -> [ServiceAccount; 2] {
    let account = |name, component| ServiceAccount {
        metadata: metadata(wanted, name, component),
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    };
    [
        account(wanted.names.server(), Component::Server),
        account(wanted.names.broker(), Component::Broker),
    ]
}
