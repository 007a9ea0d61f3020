//! One page of a scan: keys in order over all slots, each slot from a read quorum.
//!
//! Members are asked once for all the slots they are to answer for, so that a page costs a
//! request or two a member and not one a slot. Their pages are merged by version up to the first
//! key beyond which some member may know more. A key on which the members of its slot do not
//! agree, or whose value did not come along, is left to a [`super::read::Read`] of its own.
//!
//! A member that lets the page wait is not waited for where its slots have another member: that
//! one is asked as well, and whichever answers first counts.

mod merge;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use kvcore::{
    key::Key,
    placement::MemberIndex,
    record::ValueMeta,
    slot::{Slot, SlotSet},
    version::Version,
    wire::{Page, Refusal, Reply, Request, ScopedSlots, Want},
};

use super::{
    effect::{Context, Effect, Event, Progress, Tag},
    outcome::{Absent, Failure, Outcome},
    read::Demand,
    write::PLACEMENT_CHANGES_MAX,
};

/// What to scan.
#[derive(Debug, Clone)]
pub struct ScanPlan {
    /// Only keys that start with this.
    pub prefix: Bytes,
    /// Only keys above this one.
    pub after: Option<Key>,
    /// At most this many keys, 1 to [`kvcore::limits::PAGE_ENTRIES_MAX`].
    pub limit: u16,
}

/// One key of the page.
#[derive(Debug, Clone, PartialEq)]
pub enum ScanItem {
    /// Its value, known widely enough to be answered.
    Value(Key, Version, ValueMeta, Bytes),
    /// It needs a read of its own; there may turn out to be no value.
    Ask(Key),
}

/// A page.
#[derive(Debug, Clone, PartialEq)]
pub struct ScanPage {
    /// Keys in ascending order.
    pub items: Vec<ScanItem>,
    /// Where the next page begins; `None` at the end. It may lie beyond the last item.
    pub next_after: Option<Key>,
    /// Slots for which fewer members than a read quorum answered.
    pub partial_slots: usize,
}

/// One request to one member.
#[derive(Debug)]
struct Ask {
    member: MemberIndex,
    slots: SlotSet,
    want: Want,
}

/// The scan of one page.
#[derive(Debug)]
pub struct Scan {
    plan: ScanPlan,
    demand: Demand,
    hedge_ms: u64,
    deadline_ms: u64,
    /// When slow members are looked at next, in milliseconds since the scan began.
    look_ms: u64,
    hedged: bool,
    asks: BTreeMap<Tag, Ask>,
    /// Requests that let the page wait; their answers still count.
    slow: BTreeSet<Tag>,
    pages: Vec<(Ask, Page)>,
    /// Members given up, with the reason.
    failed: BTreeMap<MemberIndex, String>,
    /// Members that cannot answer for a slot although they answer for others.
    unanswered: BTreeSet<(Slot, MemberIndex)>,
    taught: BTreeSet<MemberIndex>,
    teaching: BTreeMap<Tag, Ask>,
    placement_changes: u32,
    waits_for_placement: bool,
}

/// Who reads a slot.
struct Readers {
    /// Members that answered or are being asked.
    all: Vec<MemberIndex>,
    /// How many of them answered, or do not let the page wait yet.
    prompt: usize,
    /// Whether one of those reads values.
    has_values: bool,
}

impl Scan {
    /// A scan of one page; members that do not answer for `hedge_ms` are not relied on.
    pub fn new(plan: ScanPlan, demand: Demand, hedge_ms: u64, deadline_ms: u64) -> Self {
        Self {
            plan,
            demand,
            hedge_ms,
            deadline_ms,
            look_ms: u64::MAX,
            hedged: false,
            asks: BTreeMap::new(),
            slow: BTreeSet::new(),
            pages: Vec::new(),
            failed: BTreeMap::new(),
            unanswered: BTreeSet::new(),
            taught: BTreeSet::new(),
            teaching: BTreeMap::new(),
            placement_changes: 0,
            waits_for_placement: false,
        }
    }

    /// When the machine wants to be woken, in milliseconds since it began.
    pub fn wake_at(&self) -> u64 {
        self.look_ms.min(self.deadline_ms)
    }

    /// Whether more members than a quorum were asked because answers were slow.
    pub fn was_hedged(&self) -> bool {
        self.hedged
    }

    /// Begins.
    pub fn start(&mut self, cx: &mut Context<'_>) -> Progress<Outcome<ScanPage>> {
        self.asks.clear();
        self.teaching.clear();
        self.pages.clear();
        // Under a new placement the same index may be another member.
        self.failed.clear();
        self.unanswered.clear();
        self.taught.clear();
        self.slow.clear();
        self.look_ms = u64::MAX;
        self.ask_for(cx, &SlotSet::full())
    }

    /// Takes an event.
    pub fn step(&mut self, cx: &mut Context<'_>, event: Event) -> Progress<Outcome<ScanPage>> {
        match event {
            Event::Wake if cx.now.elapsed_ms >= self.deadline_ms => self.too_late(cx),
            Event::Wake if cx.now.elapsed_ms >= self.look_ms => self.look_for_slow(cx),
            Event::PlacementChanged if self.waits_for_placement => {
                self.waits_for_placement = false;
                self.start(cx)
            }
            Event::Wake | Event::PlacementChanged => Progress::Pending,
            Event::Reply {
                tag,
                reply: Reply::Adopted { .. },
            } => {
                if let Some(ask) = self.teaching.remove(&tag) {
                    self.send(cx, ask);
                }
                Progress::Pending
            }
            Event::Reply { tag, reply } => {
                match self
                    .asks
                    .remove(&tag)
                    .or_else(|| self.teaching.remove(&tag))
                {
                    Some(ask) => self.on_reply(cx, ask, reply),
                    None => Progress::Pending,
                }
            }
            Event::NotSent { tag, why } | Event::Lost { tag, why } => {
                match self
                    .asks
                    .remove(&tag)
                    .or_else(|| self.teaching.remove(&tag))
                {
                    Some(ask) => self.give_up(cx, &ask, why),
                    None => Progress::Pending,
                }
            }
        }
    }

    fn on_reply(
        &mut self,
        cx: &mut Context<'_>,
        ask: Ask,
        reply: Reply,
    ) -> Progress<Outcome<ScanPage>> {
        match reply {
            // How far such a page reaches nobody can tell.
            Reply::Page(page) if page.more && page.entries.is_empty() => {
                self.give_up(cx, &ask, "an empty page that is not the last".to_owned())
            }
            Reply::Page(page) => {
                let missing: SlotSet = ask
                    .slots
                    .iter()
                    .filter(|&slot| page.unanswered.contains(slot))
                    .collect();
                for slot in missing.iter() {
                    self.unanswered.insert((slot, ask.member));
                }
                let slots = ask
                    .slots
                    .iter()
                    .filter(|&slot| !missing.contains(slot))
                    .collect();
                self.pages.push((Ask { slots, ..ask }, page));
                if missing.is_empty() {
                    self.finish(cx)
                } else {
                    self.ask_for(cx, &missing)
                }
            }
            Reply::Refused(Refusal::StaleEpoch(placement)) => {
                cx.effects.push(Effect::Learn(placement));
                self.placement_changes += 1;
                if self.placement_changes > PLACEMENT_CHANGES_MAX {
                    let failure = Failure::PlacementChanges(self.placement_changes);
                    return Progress::Ended(Outcome::NotDone(failure));
                }
                self.asks.clear();
                self.waits_for_placement = true;
                Progress::Pending
            }
            Reply::Refused(Refusal::BehindEpoch { .. }) if self.taught.insert(ask.member) => {
                let tag = cx.send(ask.member, Request::Adopt(cx.placement.clone()));
                self.teaching.insert(tag, ask);
                Progress::Pending
            }
            Reply::Refused(refusal) => self.give_up(cx, &ask, refusal.to_string()),
            other => self.give_up(cx, &ask, format!("it answered {other:?}")),
        }
    }

    fn give_up(
        &mut self,
        cx: &mut Context<'_>,
        ask: &Ask,
        why: String,
    ) -> Progress<Outcome<ScanPage>> {
        self.failed.insert(ask.member, why);
        self.ask_for(cx, &ask.slots)
    }

    fn readers(&self, slot: Slot) -> Readers {
        let mut readers = Readers {
            all: Vec::new(),
            prompt: 0,
            has_values: false,
        };
        let asked = self.asks.iter().chain(&self.teaching);
        let asked = asked.map(|(tag, ask)| (ask, self.slow.contains(tag)));
        let answered = self.pages.iter().map(|(ask, _)| (ask, false));
        for (ask, is_slow) in asked.chain(answered) {
            if ask.slots.contains(slot) {
                readers.all.push(ask.member);
                readers.prompt += usize::from(!is_slow);
                readers.has_values |= !is_slow && ask.want == Want::Values;
            }
        }
        readers
    }

    /// Asks others in place of members that let the page wait.
    fn look_for_slow(&mut self, cx: &mut Context<'_>) -> Progress<Outcome<ScanPage>> {
        self.look_ms = u64::MAX;
        let mut slots = SlotSet::empty();
        for (&tag, ask) in self.asks.iter().chain(&self.teaching) {
            if self.slow.insert(tag) {
                for slot in ask.slots.iter() {
                    slots.insert(slot);
                }
            }
        }
        let asked = self.asks.len();
        let progress = self.ask_for(cx, &slots);
        self.hedged |= self.asks.len() > asked;
        progress
    }

    /// Asks as many more members for these slots as a read quorum lacks.
    fn ask_for(&mut self, cx: &mut Context<'_>, slots: &SlotSet) -> Progress<Outcome<ScanPage>> {
        let mut wanted: BTreeMap<(MemberIndex, bool), SlotSet> = BTreeMap::new();
        for slot in slots.iter() {
            let readers = cx.placement.slot(slot).read_set();
            let (set, needed) = (readers.members(), readers.read_quorum());
            let readers = self.readers(slot);
            let able = |&member: &MemberIndex| {
                cx.is_live(member)
                    && !self.failed.contains_key(&member)
                    && !self.unanswered.contains(&(slot, member))
                    && !readers.all.contains(&member)
            };
            // Rotated by slot, so that every member reads values for its share.
            let mut order = cx.spread(set);
            order.rotate_left(slot.index() % set.len());
            let chosen: Vec<_> = order.into_iter().filter(able).collect();
            let possible = readers.all.len() + chosen.len();
            if possible < needed && (self.demand == Demand::Quorum || possible == 0) {
                let able = readers.all.len();
                return Progress::Ended(Outcome::NotDone(self.too_few(cx, slot, able)));
            }
            let lacking = needed.saturating_sub(readers.prompt);
            for (at, member) in chosen.into_iter().take(lacking).enumerate() {
                let values = !readers.has_values && at == 0;
                wanted
                    .entry((member, values))
                    .or_insert_with(SlotSet::empty)
                    .insert(slot);
            }
        }
        for ((member, values), slots) in wanted {
            let want = if values { Want::Values } else { Want::Versions };
            self.send(
                cx,
                Ask {
                    member,
                    slots,
                    want,
                },
            );
        }
        self.finish(cx)
    }

    fn send(&mut self, cx: &mut Context<'_>, ask: Ask) {
        let request = Request::Scan {
            scope: ScopedSlots {
                slots: ask.slots.clone(),
                epoch: cx.placement.epoch(),
                began_at: cx.began_at,
            },
            prefix: self.plan.prefix.clone(),
            after: self.plan.after.clone(),
            limit: self.plan.limit,
            want: ask.want,
        };
        let tag = cx.send(ask.member, request);
        self.asks.insert(tag, ask);
        let look_ms = cx.now.elapsed_ms.saturating_add(self.hedge_ms);
        self.look_ms = self.look_ms.min(look_ms);
    }

    fn too_few(&self, cx: &Context<'_>, slot: Slot, able: usize) -> Failure {
        let readers = cx.placement.slot(slot).read_set();
        let (set, needed) = (readers.members(), readers.read_quorum());
        let absent = set.iter().filter_map(|&member| {
            let why = match self.failed.get(&member) {
                Some(why) => why.as_str(),
                None if self.unanswered.contains(&(slot, member)) => "it cannot answer yet",
                None if !cx.is_live(member) => "not connected",
                None => return None,
            };
            Some(Absent::new(cx.placement, member, why))
        });
        Failure::TooFew {
            slot,
            needed,
            copies: set.len(),
            able,
            absent: absent.collect(),
        }
    }

    fn too_late(&self, cx: &Context<'_>) -> Progress<Outcome<ScanPage>> {
        let slow = self.asks.values().chain(self.teaching.values());
        let absent: Vec<_> = slow
            .map(|ask| Absent::new(cx.placement, ask.member, "no answer yet"))
            .collect();
        let first = self.asks.values().find_map(|ask| ask.slots.iter().next());
        Progress::Ended(Outcome::NotDone(Failure::Deadline {
            slot: first.unwrap_or_else(|| Slot::of(&self.plan.prefix)),
            needed: absent.len(),
            limit_ms: self.deadline_ms,
            absent,
        }))
    }

    fn finish(&self, cx: &Context<'_>) -> Progress<Outcome<ScanPage>> {
        let partial_slots = self.short_slots(cx);
        let waits_for_members = !self.asks.is_empty() || !self.teaching.is_empty();
        if self.waits_for_placement || (waits_for_members && partial_slots > 0) {
            return Progress::Pending;
        }
        let answers = self.pages.iter().map(|(ask, page)| merge::Answer {
            member: ask.member,
            slots: &ask.slots,
            page,
        });
        let merged = merge::merge(
            cx,
            &answers.collect::<Vec<_>>(),
            usize::from(self.plan.limit),
        );
        Progress::Ended(Outcome::Done(ScanPage {
            items: merged.items,
            next_after: merged.next_after,
            partial_slots,
        }))
    }

    /// Slots for which fewer members than a read quorum answered so far.
    fn short_slots(&self, cx: &Context<'_>) -> usize {
        let is_short = |slot: &Slot| {
            let readers = cx.placement.slot(*slot).read_set();
            let pages = self.pages.iter();
            let answered = pages.filter(|(ask, _)| ask.slots.contains(*slot)).count();
            answered < readers.read_quorum()
        };
        Slot::all().filter(is_short).count()
    }
}
