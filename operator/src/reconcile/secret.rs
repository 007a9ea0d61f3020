//! The cluster's secret: made once, and put back as it was when somebody deletes it.

use k8s_openapi::api::core::v1;
use kube::{Api, api::PostParams};
use kvcore::wire::Secret;
use rand::RngExt;

use crate::{
    act::{
        ActError, ask,
        own::{self, Owner},
    },
    context::Context,
    names::FIELD_MANAGER,
    objects::secret,
    observed::Observed,
    validate::Validated,
};

/// The secret, `None` while the cluster is paused and has none.
pub(super) async fn ensure(
    wanted: &Validated,
    context: &Context,
    observed: &mut Observed,
) -> Result<Option<Secret>, ActError> {
    let name = wanted.names.secret();
    let there = observed.objects.secrets.get(&name);
    let is_there = there.and_then(secret::text).is_some();
    if !is_there && !wanted.spec.paused {
        let made = make(wanted, context).await?;
        observed.objects.secrets.insert(name.clone(), made);
    }
    Ok(known(wanted, context, observed))
}

/// The secret as it is there, without making one.
pub(super) fn known(wanted: &Validated, context: &Context, observed: &Observed) -> Option<Secret> {
    let there = observed.objects.secrets.get(&wanted.names.secret());
    let text = there.and_then(secret::text)?;
    context.memory.saw_secret(&wanted.names.reference(), text)
}

/// Makes the Secret, with the text that it had before if that is known.
async fn make(wanted: &Validated, context: &Context) -> Result<v1::Secret, ActError> {
    let api: Api<v1::Secret> = Api::namespaced(context.client.clone(), &wanted.names.namespace);
    let text = context.memory.secret_text(&wanted.names.reference());
    let text = text.map(|text| String::from_utf8_lossy(&text).into_owned());
    let new = secret::build(wanted, &text.unwrap_or_else(random));
    let parameters = PostParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PostParams::default()
    };
    let what = format!("Secret {}", wanted.names.secret());
    tracing::info!(cluster = %wanted.names, "making the secret");
    match ask(what.clone(), api.create(&parameters, &new)).await {
        // The copy of what is there was older than the Secret, or it has lost its labels.
        Err(ActError::Conflict { .. }) => {
            let there = ask(what.clone(), api.get(&wanted.names.secret())).await?;
            let owner = Owner::of(&there.metadata, wanted);
            // A person who puts a lost one back by hand labels nothing.
            if owner != Owner::Nobody {
                owner.check(&what)?;
            }
            if own::is_let_go(&there, wanted) {
                own::take_back(&api, &there, wanted).await?;
            }
            Ok(there)
        }
        made => made,
    }
}

/// 256 bits in hexadecimal digits.
fn random() -> String {
    let mut random = rand::rng();
    format!(
        "{:032x}{:032x}",
        random.random::<u128>(),
        random.random::<u128>()
    )
}
