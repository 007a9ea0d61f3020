//! Rights used beside rights granted. Pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use anyhow::{Result, bail};

use super::{Request, Right, Unused, audit::Outcome};

/// Rights that no request shows, and why they are granted.
const UNSEEN: &[(&str, &str, &str, &str)] = &[(
    "kvasir.dev",
    "kvclusters/finalizers",
    "update",
    "asked for by the admission plug-in OwnerReferencesPermissionEnforcement, without a request",
)];

/// How long an operator may go on asking after its roles were taken away with the release.
const GOING_MICROS: i64 = 15_000_000;

/// Refusals that are printed.
const SHOWN_MAX: usize = 20;

/// What is granted, and how often each was used.
#[derive(Debug)]
pub(super) struct Comparison {
    rows: BTreeMap<Right, Row>,
    forbidden: Vec<String>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Row {
    is_granted: bool,
    used: u64,
}

impl Comparison {
    /// Of these rights and requests. Accounts that are not among the living were uninstalled: what
    /// their operators were refused last is no matter.
    pub(super) fn of(granted: &BTreeSet<Right>, requests: &[Request], living: &[&str]) -> Self {
        let mut rows: BTreeMap<Right, Row> = BTreeMap::new();
        for right in granted {
            rows.entry(right.clone()).or_default().is_granted = true;
        }
        let mut last: BTreeMap<&str, i64> = BTreeMap::new();
        for request in requests {
            let at = last.entry(&request.account).or_insert(request.micros);
            *at = (*at).max(request.micros);
        }
        let is_going = |request: &Request| {
            let last = last[request.account.as_str()];
            !living.contains(&request.account.as_str()) && last - request.micros <= GOING_MICROS
        };
        let mut forbidden = Vec::new();
        for request in requests {
            match &request.outcome {
                Outcome::Forbidden(_) if is_going(request) => {}
                Outcome::Forbidden(said) => {
                    forbidden.push(format!("{} {}: {said}", request.right, request.object));
                }
                outcome => {
                    rows.entry(request.right.clone()).or_default().used += 1;
                    if *outcome == Outcome::Created {
                        let create = Right {
                            verb: "create".to_owned(),
                            ..request.right.clone()
                        };
                        rows.entry(create).or_default().used += 1;
                    }
                }
            }
        }
        Self { rows, forbidden }
    }

    fn unused(&self) -> impl Iterator<Item = &Right> {
        let unused = self
            .rows
            .iter()
            .filter(|(right, row)| row.is_granted && row.used == 0 && why_unseen(right).is_none());
        unused.map(|(right, _)| right)
    }

    /// An error where a right was missed or, if that counts, not used.
    pub(super) fn judge(&self, unused: Unused) -> Result<()> {
        if !self.forbidden.is_empty() {
            let shown = self.forbidden.iter().take(SHOWN_MAX);
            let shown: Vec<&str> = shown.map(String::as_str).collect();
            bail!(
                "the operator lacks rights, add them to charts/kvasir/templates/_names.tpl; {} \
                 requests were refused:\n{}",
                self.forbidden.len(),
                shown.join("\n")
            );
        }
        let names: Vec<String> = self.unused().map(Right::to_string).collect();
        if unused == Unused::Fails && !names.is_empty() {
            bail!(
                "rights that no scenario used: {}\ntake them away in \
                 charts/kvasir/templates/_names.tpl, or write the scenario that needs them",
                names.join(", ")
            );
        }
        Ok(())
    }
}

fn why_unseen(right: &Right) -> Option<&'static str> {
    let found = UNSEEN.iter().find(|(group, resource, verb, _)| {
        (*group, *resource, *verb)
            == (
                right.group.as_str(),
                right.resource.as_str(),
                right.verb.as_str(),
            )
    });
    found.map(|(.., why)| *why)
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dot = if self.group.is_empty() { "" } else { "." };
        write!(f, "{} {}{dot}{}", self.verb, self.resource, self.group)
    }
}

impl fmt::Display for Comparison {
    /// A table, one line a kind of objects: each verb with how often it was used.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (right, row) in &self.rows {
            let kind = format!("{} {}", right.group, right.resource);
            let used = match row {
                Row {
                    is_granted: false, ..
                } => "by another role".to_owned(),
                Row { used: 0, .. } if why_unseen(right).is_some() => "unseen".to_owned(),
                Row { used: 0, .. } => "NOT USED".to_owned(),
                Row { used, .. } => used.to_string(),
            };
            let words = format!("{} {used}", right.verb);
            lines.entry(kind).or_default().push(words);
        }
        let width = lines.keys().map(String::len).max().unwrap_or_default();
        writeln!(f, "rights of the operator, and how often each was used:")?;
        for (kind, verbs) in &lines {
            writeln!(f, "  {kind:<width$}  {}", verbs.join(", "))?;
        }
        for (group, resource, verb, why) in UNSEEN {
            writeln!(f, "  unseen: {verb} {resource}.{group}: {why}")?;
        }
        write!(f, "  requests refused: {}", self.forbidden.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn right(verb: &str, resource: &str) -> Right {
        Right {
            group: String::new(),
            resource: resource.to_owned(),
            verb: verb.to_owned(),
        }
    }

    fn request(
        verb: &str,
        resource: &str,
        account: &str,
        micros: i64,
        outcome: Outcome,
    ) -> Request {
        Request {
            account: account.to_owned(),
            micros,
            right: right(verb, resource),
            object: "n/a".to_owned(),
            outcome,
        }
    }

    fn forbidden() -> Outcome {
        Outcome::Forbidden("cannot".to_owned())
    }

    #[test]
    fn what_is_granted_and_not_used_fails_a_whole_run_alone() {
        let granted = BTreeSet::from([right("list", "pods"), right("delete", "pods")]);
        let used = [request("list", "pods", "u", 1, Outcome::Allowed)];
        let compared = Comparison::of(&granted, &used, &["u"]);
        assert!(compared.judge(Unused::IsShown).is_ok());
        let said = compared
            .judge(Unused::Fails)
            .expect_err("unused")
            .to_string();
        assert!(
            said.contains("delete pods") && !said.contains("list pods"),
            "{said}"
        );
        assert!(compared.to_string().contains("delete NOT USED, list 1"));
    }

    #[test]
    fn what_was_refused_fails_any_run() {
        let granted = BTreeSet::from([right("list", "pods")]);
        let refused = [
            request("list", "pods", "u", 1, Outcome::Allowed),
            request("delete", "pods", "u", 2, forbidden()),
        ];
        let compared = Comparison::of(&granted, &refused, &["u"]);
        let said = compared.judge(Unused::IsShown).expect_err("refused");
        assert!(said.to_string().contains("delete pods n/a"), "{said}");
    }

    #[test]
    fn an_apply_that_made_the_object_took_two_rights() {
        let granted = BTreeSet::from([right("create", "services"), right("patch", "services")]);
        let patched = |outcome| [request("patch", "services", "u", 1, outcome)];
        let made = Comparison::of(&granted, &patched(Outcome::Created), &["u"]);
        assert!(made.judge(Unused::Fails).is_ok());
        let changed = Comparison::of(&granted, &patched(Outcome::Allowed), &["u"]);
        assert!(changed.judge(Unused::Fails).is_err());
    }

    #[test]
    fn an_operator_that_is_uninstalled_may_be_refused_at_its_end_alone() {
        let judged = |micros, living: &[&str]| {
            let requests = [
                request("list", "pods", "old", micros, forbidden()),
                request("list", "pods", "old", 100_000_000, Outcome::Allowed),
            ];
            Comparison::of(&BTreeSet::new(), &requests, living)
                .judge(Unused::IsShown)
                .is_ok()
        };
        assert!(judged(99_000_000, &["new"]));
        assert!(!judged(50_000_000, &["new"]));
        assert!(!judged(99_000_000, &["old"]));
    }

    #[test]
    fn a_right_that_no_request_shows_is_not_unused() {
        let unseen = Right {
            group: "kvasir.dev".to_owned(),
            resource: "kvclusters/finalizers".to_owned(),
            verb: "update".to_owned(),
        };
        let compared = Comparison::of(&BTreeSet::from([unseen]), &[], &[]);
        assert!(compared.judge(Unused::Fails).is_ok());
    }
}
