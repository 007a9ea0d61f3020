//! Whether an object already has everything that is desired of it.
//!
//! What the API server fills in and what others add does not matter. Lists of objects may have
//! more and be in another order; lists of plain values have to be the same. Amounts are compared
//! by value: the API server writes `0.5` as `500m`.

use serde_json::Value;

use crate::quantity::Amount;

/// Whether `there` has all of `desired`.
pub fn covers(desired: &Value, there: &Value) -> bool {
    match (desired, there) {
        (Value::Object(desired), Value::Object(there)) => {
            desired.iter().all(|(key, desired)| match there.get(key) {
                Some(there) if is_whole(key) => {
                    is_same_size(desired, there) && covers(desired, there)
                }
                Some(there) => covers(desired, there),
                None => is_nothing(desired),
            })
        }
        (Value::Array(desired), Value::Array(there)) => list_covers(desired, there),
        (Value::String(desired), Value::String(there)) => {
            desired == there || same_amount(desired, there)
        }
        (desired, Value::Null) => is_nothing(desired),
        (desired, there) => desired == there,
    }
}

/// Fields to which nobody adds without changing what they mean: one more label in a selector chooses fewer
/// pods, one more rule lets more in.
fn is_whole(key: &str) -> bool {
    matches!(key, "selector" | "ingress" | "nodeSelector" | "tolerations")
}

fn is_same_size(desired: &Value, there: &Value) -> bool {
    match (desired, there) {
        (Value::Object(desired), Value::Object(there)) => desired.len() == there.len(),
        (Value::Array(desired), Value::Array(there)) => desired.len() == there.len(),
        _ => true,
    }
}

/// What the API server does not keep.
fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::String(text) => text.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

fn list_covers(desired: &[Value], there: &[Value]) -> bool {
    if !desired.iter().all(Value::is_object) {
        return desired == there;
    }
    desired
        .iter()
        .all(|desired| there.iter().any(|there| covers(desired, there)))
}

fn same_amount(desired: &str, there: &str) -> bool {
    let desired = Amount::parse(desired);
    desired.is_some() && desired == Amount::parse(there)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn defaults_and_additions_do_not_matter() {
        let desired = json!({"spec": {"ports": [{"name": "a", "port": 1}], "args": ["x"]}});
        let there = json!({
            "spec": {
                "ports": [{"name": "b", "port": 2}, {"name": "a", "port": 1, "protocol": "TCP"}],
                "args": ["x"],
                "clusterIP": "10.0.0.1"
            },
            "status": {}
        });
        assert!(covers(&desired, &there));
    }

    #[test]
    fn a_change_of_what_is_desired_shows() {
        let desired = json!({"ports": [{"name": "a", "port": 1}], "args": ["x", "y"], "on": true});
        for there in [
            json!({"ports": [{"name": "a", "port": 2}], "args": ["x", "y"], "on": true}),
            json!({"ports": [], "args": ["x", "y"], "on": true}),
            json!({"ports": [{"name": "a", "port": 1}], "args": ["y", "x"], "on": true}),
            json!({"ports": [{"name": "a", "port": 1}], "args": ["x", "y", "z"], "on": true}),
            json!({"ports": [{"name": "a", "port": 1}], "args": ["x", "y"]}),
            json!({"ports": [{"name": "a", "port": 1}], "args": ["x", "y"], "on": false}),
        ] {
            assert!(!covers(&desired, &there), "{there}");
        }
    }

    /// A Service whose selector somebody narrowed has no endpoints, a policy with one more rule a hole.
    #[test]
    fn what_chooses_and_what_lets_in_is_wanted_whole() {
        let desired =
            json!({"spec": {"selector": {"app": "x"}, "ingress": [{"ports": [{"port": 1}]}]}});
        assert!(covers(&desired, &desired));
        for there in [
            json!({"spec": {"selector": {"app": "x", "b": "c"}, "ingress": [{"ports": [{"port": 1}]}]}}),
            json!({"spec": {"selector": {"app": "x"}, "ingress": [{"ports": [{"port": 1}]}, {}]}}),
        ] {
            assert!(!covers(&desired, &there), "{there}");
        }
    }

    #[test]
    fn amounts_are_compared_by_value() {
        let desired = json!({"cpu": "0.5", "memory": "1Gi"});
        assert!(covers(
            &desired,
            &json!({"cpu": "500m", "memory": "1024Mi"})
        ));
        assert!(!covers(&desired, &json!({"cpu": "500m", "memory": "1G"})));
    }

    #[test]
    fn nothing_is_covered_by_what_is_not_there() {
        let desired = json!({"a": {}, "b": [], "d": "", "e": null});
        assert!(covers(&desired, &json!({})));
        let forbidden = json!({"allowPrivilegeEscalation": false});
        assert!(!covers(&forbidden, &json!({})));
        assert!(!covers(&json!({"a": {"b": 0}}), &json!({})));
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            "[a-c]{0,2}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[a-d]", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn everything_covers_itself(value in value()) {
            prop_assert!(covers(&value, &value));
        }
    }
}
