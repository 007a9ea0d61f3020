//! Merging the pages of several members into one.

use std::collections::BTreeMap;

use kvcore::{
    key::Key,
    placement::MemberIndex,
    planted::{self, Bug},
    slot::SlotSet,
    wire::{Found, Page, PageEntry},
};

use super::ScanItem;
use crate::machine::{effect::Context, quorum::WriteQuorum};

/// One member's page, and the slots for which it answers.
pub(super) struct Answer<'a> {
    pub(super) member: MemberIndex,
    pub(super) slots: &'a SlotSet,
    pub(super) page: &'a Page,
}

/// The merged page.
pub(super) struct Merged {
    pub(super) items: Vec<ScanItem>,
    pub(super) next_after: Option<Key>,
}

pub(super) fn merge(cx: &Context<'_>, answers: &[Answer<'_>], limit: usize) -> Merged {
    // Beyond the last key of a page that has more, that member may know keys nobody spoke of.
    let frontier = answers
        .iter()
        .filter(|answer| answer.page.more)
        .map(|answer| answer.page.entries.last().map(|entry| &entry.key))
        .min()
        .flatten();
    let mut by_key: BTreeMap<&Key, Vec<(MemberIndex, &PageEntry)>> = BTreeMap::new();
    for answer in answers {
        for entry in &answer.page.entries {
            let within = frontier.is_none_or(|frontier| entry.key <= *frontier);
            if within && answer.slots.contains(entry.key.slot()) {
                by_key
                    .entry(&entry.key)
                    .or_default()
                    .push((answer.member, entry));
            }
        }
    }
    let mut items = Vec::new();
    for (key, entries) in by_key {
        if items.len() == limit {
            // The key that did not fit comes first on the next page.
            let mut last = items.last().map(item_key).cloned();
            if planted::is(Bug::PageSkipsKey) {
                last = Some(key.clone());
            }
            return Merged {
                items,
                next_after: last,
            };
        }
        items.extend(item(cx, key, &entries));
    }
    Merged {
        items,
        next_after: frontier.cloned(),
    }
}

fn item_key(item: &ScanItem) -> &Key {
    match item {
        ScanItem::Value(key, ..) | ScanItem::Ask(key) => key,
    }
}

/// What the page says of one key; nothing where its tombstone is known widely enough.
fn item(cx: &Context<'_>, key: &Key, entries: &[(MemberIndex, &PageEntry)]) -> Option<ScanItem> {
    let newest = entries
        .iter()
        .map(|(_, entry)| entry.found)
        .max_by_key(|f| f.version())?;
    let mut quorum = WriteQuorum::new(cx.placement, key.slot());
    let holders = entries.iter().filter(|(_, entry)| entry.found == newest);
    for (member, _) in holders.clone() {
        quorum.add(*member);
    }
    if !quorum.is_reached() {
        return Some(ScanItem::Ask(key.clone()));
    }
    if matches!(newest, Found::Tombstone(_)) {
        return None;
    }
    let value = holders
        .into_iter()
        .find_map(|(_, entry)| entry.value.as_ref());
    if planted::is(Bug::PageWithoutEnding)
        && value.is_some_and(|(meta, _)| meta.expires_at.is_some())
    {
        return None;
    }
    Some(match value {
        Some((meta, bytes)) if !meta.is_expired(cx.now.wall) => {
            ScanItem::Value(key.clone(), newest.version(), *meta, bytes.clone())
        }
        _ => ScanItem::Ask(key.clone()),
    })
}
