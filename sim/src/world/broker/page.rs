//! Pages of a scan: each is held against what was known when it began, and the next one goes on
//! where it ends, so that nothing falls between two of them.

use broker::machine::scan::{ScanItem, ScanPage};
use kvcore::{key::Key, version::UnixMillis};

use super::{Operation, World, key_of, number_of};
use crate::{
    checker::{Checker, Content, Finding, Kind},
    plan::Ask,
    rare::Rare,
};

impl World<'_> {
    /// Takes a page, and asks for the next one.
    pub(super) fn on_page(
        &mut self,
        broker: usize,
        operation: &Operation,
        page: &ScanPage,
        lowest: UnixMillis,
    ) {
        self.note(Rare::ScanPage);
        let held = in_bounds(operation, page);
        self.hold(held);
        let mut answered = Vec::new();
        for item in &page.items {
            let key = key_in(item);
            let Some(number) = number_of(key).filter(|&number| number < self.plan.shape.keys)
            else {
                let what = format!("a page has {key}, which nobody wrote");
                return self.hold(Err((Kind::Corrupt, what)));
            };
            answered.push(number);
            match item {
                ScanItem::Value(_, version, meta, bytes) => {
                    let floor = operation.floors[usize::from(number)];
                    let said = (*version, Content::Value(meta, bytes));
                    let held = self.checker.read_done(number, Some(said), floor);
                    self.hold(held);
                    let held = Checker::not_expired(number, meta.expires_at, lowest);
                    self.hold(held);
                }
                ScanItem::Ask(_) => {
                    self.note(Rare::ScanAsk);
                    self.ask(broker, Ask::Get(number));
                }
            }
        }
        for number in 0..self.plan.shape.keys {
            let key = key_of(number);
            let is_behind = operation.after.as_ref().is_none_or(|after| key > *after);
            let in_page = is_behind && page.next_after.as_ref().is_none_or(|last| key <= *last);
            if in_page && !answered.contains(&number) {
                let floor = operation.floors[usize::from(number)];
                let held = self.checker.left_out(number, floor);
                self.hold(held);
            }
        }
        if let Some(next) = &page.next_after {
            self.note(Rare::NextPage);
            self.ask_behind(broker, operation.ask, Some(next.clone()));
        }
    }
}

fn key_in(item: &ScanItem) -> &Key {
    match item {
        ScanItem::Value(key, ..) | ScanItem::Ask(key) => key,
    }
}

/// Whether a page is what was asked for: keys in order, behind the one before, as many as wanted,
/// and that it says truly where it ends.
fn in_bounds(operation: &Operation, page: &ScanPage) -> Result<(), Finding> {
    let Ask::Scan { limit } = operation.ask else {
        return Ok(());
    };
    let wrong = |what: String| Err((Kind::PageWrong, what));
    let mut last = operation.after.as_ref();
    for key in page.items.iter().map(key_in) {
        if last.is_some_and(|last| key <= last) {
            return wrong(format!("{key} comes behind {last:?}"));
        }
        last = Some(key);
    }
    match &page.next_after {
        Some(next) if last.is_some_and(|last| next < last) => {
            wrong(format!("it goes on behind {next} and has {last:?}"))
        }
        Some(next) if operation.after.as_ref() == Some(next) => {
            wrong(format!("it goes on where it began, behind {next}"))
        }
        _ if page.items.len() > usize::from(limit) => {
            wrong(format!("{} keys, {limit} wanted", page.items.len()))
        }
        _ => Ok(()),
    }
}
