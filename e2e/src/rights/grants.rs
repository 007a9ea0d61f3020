//! Which rights roles grant. Pure.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use serde_json::Value;

use super::Right;

/// Every right that one of these roles grants. One that grants more than it names is an error.
pub(super) fn granted(roles: &[Value]) -> Result<BTreeSet<Right>> {
    let mut granted = BTreeSet::new();
    for role in roles {
        for rule in role["rules"].as_array().into_iter().flatten() {
            let words = |field: &str| -> Vec<String> {
                let words = rule[field].as_array().into_iter().flatten();
                words.filter_map(Value::as_str).map(str::to_owned).collect()
            };
            let (groups, resources, verbs) =
                (words("apiGroups"), words("resources"), words("verbs"));
            let all = [&groups, &resources, &verbs];
            ensure!(
                !all.iter()
                    .any(|words| words.iter().any(|word| word.contains('*'))),
                "the role {} grants what nobody can read off it: {rule}",
                role["metadata"]["name"]
            );
            for group in &groups {
                for resource in &resources {
                    granted.extend(verbs.iter().map(|verb| Right {
                        group: group.clone(),
                        resource: resource.clone(),
                        verb: verb.clone(),
                    }));
                }
            }
        }
    }
    Ok(granted)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_verb_on_every_resource_is_a_right() {
        let role = json!({"rules": [
            {"apiGroups": ["", "apps"], "resources": ["a", "b"], "verbs": ["get", "list"]},
            {"apiGroups": [""], "resources": ["a"], "verbs": ["get"]},
        ]});
        assert_eq!(granted(&[role]).expect("no stars").len(), 8);
        let all = json!({"rules": [{"apiGroups": [""], "resources": ["*"], "verbs": ["get"]}]});
        assert!(granted(&[all]).is_err());
    }
}
