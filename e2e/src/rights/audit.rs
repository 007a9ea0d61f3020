//! Reading the API server's log of requests: one JSON object a line. Pure.

use serde_json::Value;

use super::Right;

/// Names of the operator's service accounts end like this; the release may be in front.
const ACCOUNT: &str = "kvasir-operator";

/// What came of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Whatever the answer was, the right to ask was there.
    Allowed,
    /// The same, and the object was made by it.
    Created,
    /// The right was not there; what the API server said.
    Forbidden(String),
}

/// What an operator asked for.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// The UID of the service account.
    pub(crate) account: String,
    /// When it came, in microseconds since 1970.
    pub(crate) micros: i64,
    /// What it takes.
    pub(crate) right: Right,
    /// Namespace and name of the object.
    pub(crate) object: String,
    /// What came of it.
    pub(crate) outcome: Outcome,
}

impl Request {
    /// Whether it was to change something.
    pub(crate) fn is_write(&self) -> bool {
        !matches!(self.right.verb.as_str(), "get" | "list" | "watch")
    }
}

/// The request of a line; none where it is not an operator's, is about no object, or is told of in
/// another line, too.
pub(super) fn request(line: &str) -> Option<Request> {
    let event: Value = serde_json::from_str(line).ok()?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let user = event["user"]["username"].as_str()?;
    let (_, account) = user
        .strip_prefix("system:serviceaccount:")?
        .split_once(':')?;
    let is_ours = account == ACCOUNT || account.ends_with(&format!("-{ACCOUNT}"));
    let verb = text(&event["verb"]);
    // A watch is told of when it begins and when it ends.
    let stage = event["stage"].as_str()?;
    let counts = (stage == "ResponseStarted") == (verb == "watch");
    let object = event.get("objectRef")?;
    // A watch that was refused never began.
    let code = event["responseStatus"]["code"].as_u64().unwrap_or_default();
    if !is_ours || !(counts || (code == 403 && stage == "ResponseComplete")) {
        return None;
    }
    let resource = match object["subresource"].as_str() {
        Some(part) => format!("{}/{part}", text(&object["resource"])),
        None => text(&object["resource"]),
    };
    Some(Request {
        account: text(&event["user"]["uid"]),
        micros: micros(event["requestReceivedTimestamp"].as_str()?)?,
        outcome: outcome(&event, &verb, code),
        object: format!("{}/{}", text(&object["namespace"]), text(&object["name"])),
        right: Right {
            group: text(&object["apiGroup"]),
            resource,
            verb,
        },
    })
}

/// 403 may come from others than who looks at rights: a quota, a namespace that is going.
fn outcome(event: &Value, verb: &str, code: u64) -> Outcome {
    let message = event["responseStatus"]["message"]
        .as_str()
        .unwrap_or_default();
    let decided = &event["annotations"]["authorization.k8s.io/decision"];
    // An apply that would make the object is looked at twice, the second time without an annotation.
    let later = code == 403 && message.contains(" cannot ") && message.contains("resource");
    if decided == "forbid" || later {
        return Outcome::Forbidden(message.to_owned());
    }
    if code == 201 && verb == "patch" {
        return Outcome::Created;
    }
    Outcome::Allowed
}

/// Microseconds since 1970 of a time such as `2026-11-22T03:04:05.678901Z`.
fn micros(time: &str) -> Option<i64> {
    let (date, clock) = time.strip_suffix('Z')?.split_once('T')?;
    let mut date = date.split('-').map(|part| part.parse::<i64>().ok());
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    let seconds = clock
        .split(':')
        .map(|part| part.parse::<i64>().ok())
        .try_fold(0, |sum, part| Some(sum * 60 + part?))?;
    let fraction: i64 = format!("{fraction:0<6}").get(..6)?.parse().ok()?;
    // The year begins in March, so that the day that is there or not is its last one.
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1;
    Some(((days - 719_468) * 86_400 + seconds) * 1_000_000 + fraction)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(change: impl FnOnce(&mut Value)) -> Option<Request> {
        let mut event = json!({
            "stage": "ResponseComplete",
            "verb": "patch",
            "user": {"username": "system:serviceaccount:s:kvasir-operator", "uid": "u"},
            "objectRef": {"resource": "services", "namespace": "n", "name": "demo"},
            "responseStatus": {"code": 200},
            "requestReceivedTimestamp": "2026-11-22T03:04:05.678901Z",
            "annotations": {"authorization.k8s.io/decision": "allow"},
        });
        change(&mut event);
        request(&event.to_string())
    }

    #[test]
    fn a_request_is_read_with_its_subresource_and_group() {
        let plain = event(|_| ()).expect("an operator's");
        assert_eq!(plain.outcome, Outcome::Allowed);
        assert_eq!(
            (plain.object.as_str(), plain.account.as_str()),
            ("n/demo", "u")
        );
        let status = event(|event| {
            event["objectRef"]["apiGroup"] = json!("kvasir.dev");
            event["objectRef"]["resource"] = json!("kvclusters");
            event["objectRef"]["subresource"] = json!("status");
        });
        let right = status.expect("an operator's").right;
        assert_eq!(right.group, "kvasir.dev");
        assert_eq!(right.resource, "kvclusters/status");
    }

    #[test]
    fn who_is_no_operator_is_left_out() {
        for (user, is_ours) in [
            ("system:serviceaccount:s:kvasir-operator", true),
            ("system:serviceaccount:s:second-kvasir-operator", true),
            ("system:serviceaccount:s:notkvasir-operator", false),
            ("system:serviceaccount:s:demo-server", false),
            ("kubernetes-admin", false),
        ] {
            let read = event(|event| event["user"]["username"] = json!(user));
            assert_eq!(read.is_some(), is_ours, "{user}");
        }
        assert!(request("half a li").is_none());
    }

    #[test]
    fn a_watch_counts_when_it_begins_and_else_when_it_was_refused() {
        let watch = |stage, code| {
            event(|event| {
                event["verb"] = json!("watch");
                event["stage"] = json!(stage);
                event["responseStatus"]["code"] = json!(code);
            })
        };
        assert!(watch("ResponseStarted", 200).is_some());
        assert!(watch("ResponseComplete", 200).is_none());
        assert!(watch("ResponseComplete", 403).is_some());
    }

    #[test]
    fn only_rights_count_as_refusals() {
        let refused = |decision: &str, message: &str| {
            let request = event(|event| {
                event["responseStatus"] = json!({"code": 403, "message": message});
                event["annotations"]["authorization.k8s.io/decision"] = json!(decision);
            });
            matches!(
                request.expect("an operator's").outcome,
                Outcome::Forbidden(_)
            )
        };
        assert!(refused("forbid", "no"));
        assert!(refused(
            "allow",
            "services is forbidden: User \"a\" cannot create resource \"services\""
        ));
        assert!(!refused("allow", "exceeded quota: few"));
        assert!(!refused(
            "allow",
            "unable to create new content in namespace n because it is being terminated"
        ));
    }

    #[test]
    fn an_apply_that_makes_an_object_is_known() {
        let made = event(|event| event["responseStatus"]["code"] = json!(201));
        assert_eq!(made.expect("an operator's").outcome, Outcome::Created);
    }

    #[test]
    fn times_are_counted_from_1970() {
        assert_eq!(micros("1970-01-01T00:00:00.000001Z"), Some(1));
        assert_eq!(micros("2000-02-29T00:00:00Z"), Some(951_782_400_000_000));
        assert_eq!(
            micros("2026-11-22T03:04:05.5Z"),
            Some(1_795_316_645_500_000)
        );
        assert_eq!(micros("yesterday"), None);
    }
}
