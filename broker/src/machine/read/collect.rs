//! Collecting the newest record of a key from a read quorum.

use kvcore::{
    key::Key,
    placement::{MemberIndex, Placement},
    record::Record,
    version::Version,
    wire::{Found, Refusal, Reply, Request, Scope, Standing},
};
use smallvec::SmallVec;

use super::{Demand, Partial};
use crate::machine::{
    effect::{Context, Event, Progress, Tag},
    few::Few,
    outcome::{Absent, Failure},
};

/// Times a member is given the placement because its own was older.
const TEACHES_MAX: u32 = 3;

/// How collecting ended.
#[derive(Debug, PartialEq)]
pub(super) enum Collected {
    /// No member has a record.
    Absent { partial: Option<Partial> },
    /// The newest record, the voters that have it, and everyone it can be fetched from.
    Newest {
        record: Record,
        holders: Vec<MemberIndex>,
        sources: Vec<MemberIndex>,
        partial: Option<Partial>,
    },
    /// Too few members answered.
    Failed(Failure),
    /// A member has a newer placement.
    NewerPlacement(Placement),
}

/// What was asked of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Record,
    Version,
    Teaching,
}

/// Where one member stands.
#[derive(Debug)]
enum Answer {
    Pending(Asked),
    Got {
        found: Option<Found>,
        record: Option<Record>,
        standing: Standing,
    },
    Failed(String),
}

#[derive(Debug)]
pub(super) struct Collect {
    key: Key,
    demand: Demand,
    needed: usize,
    /// Members of the read set in the order in which they are asked.
    order: SmallVec<[MemberIndex; 8]>,
    answers: Few<MemberIndex, Answer, 2>,
    tags: Few<Tag, MemberIndex, 3>,
    teaches: u32,
}

impl Collect {
    pub(super) fn start(
        cx: &mut Context<'_>,
        key: &Key,
        demand: Demand,
    ) -> (Self, Progress<Collected>) {
        let readers = cx.placement.slot(key.slot()).read_set();
        let (set, needed) = (readers.members(), readers.read_quorum());
        let mut collect = Self {
            key: key.clone(),
            demand,
            needed,
            order: cx.spread(set),
            answers: Few::default(),
            tags: Few::default(),
            teaches: 0,
        };
        let first = match demand {
            Demand::Quorum => needed,
            Demand::Available => set.len(),
        };
        collect.ask_more(cx, first);
        let progress = collect.progress(cx);
        (collect, progress)
    }

    pub(super) fn step(&mut self, cx: &mut Context<'_>, event: Event) -> Progress<Collected> {
        let Some(member) = event.tag().and_then(|tag| self.tags.remove(tag)) else {
            return Progress::Pending;
        };
        match event {
            Event::Reply { reply, .. } => {
                if let Some(end) = self.on_reply(cx, member, reply) {
                    return Progress::Ended(end);
                }
            }
            Event::NotSent { why, .. } | Event::Lost { why, .. } => self.fail(cx, member, why),
            Event::PlacementChanged | Event::Wake => {}
        }
        self.progress(cx)
    }

    /// Answers are slow: asks every live member that was not asked, one of them for the value.
    pub(super) fn ask_everyone(&mut self, cx: &mut Context<'_>) -> Progress<Collected> {
        let has_record = self.answers.values().any(|answer| {
            matches!(
                answer,
                Answer::Got {
                    record: Some(_),
                    ..
                }
            )
        });
        let mut wanted = if has_record {
            Asked::Version
        } else {
            Asked::Record
        };
        for member in self.order.clone() {
            if !self.answers.has(member) && cx.is_live(member) {
                self.ask(cx, member, wanted);
                wanted = Asked::Version;
            }
        }
        self.progress(cx)
    }

    /// Time has run out: whatever is there has to do.
    pub(super) fn give_up(&mut self, cx: &mut Context<'_>, limit_ms: u64) -> Progress<Collected> {
        for answer in self.answers.values_mut() {
            if matches!(answer, Answer::Pending(_)) {
                *answer = Answer::Failed(format!("no answer within {limit_ms} ms"));
            }
        }
        self.tags.clear();
        let known = self
            .answers
            .values()
            .any(|answer| matches!(answer, Answer::Got { .. }));
        if self.demand == Demand::Available && known && self.newest_is_at_hand() {
            return self.decide(cx);
        }
        let (slot, absent) = (self.key.slot(), self.absent(cx));
        Progress::Ended(Collected::Failed(Failure::Deadline {
            slot,
            needed: self.needed,
            limit_ms,
            absent,
        }))
    }

    fn on_reply(
        &mut self,
        cx: &mut Context<'_>,
        member: MemberIndex,
        reply: Reply,
    ) -> Option<Collected> {
        match reply {
            Reply::Record { standing, record } => {
                let found = record.as_ref().map(|record| match record.meta() {
                    None => Found::Tombstone(record.version),
                    Some(_) => Found::Value(record.version),
                });
                self.answers.insert(
                    member,
                    Answer::Got {
                        found,
                        record,
                        standing,
                    },
                );
            }
            Reply::Version { standing, found } => {
                self.answers.insert(
                    member,
                    Answer::Got {
                        found,
                        record: None,
                        standing,
                    },
                );
            }
            Reply::Adopted { .. } => self.ask(cx, member, Asked::Record),
            Reply::Refused(Refusal::StaleEpoch(placement)) => {
                return Some(Collected::NewerPlacement(placement));
            }
            Reply::Refused(Refusal::BehindEpoch { .. }) if self.teaches < TEACHES_MAX => {
                self.teaches += 1;
                let tag = cx.send(member, Request::Adopt(cx.placement.clone()));
                self.tags.insert(tag, member);
                self.answers
                    .insert(member, Answer::Pending(Asked::Teaching));
            }
            Reply::Refused(refusal) => self.fail(cx, member, refusal.to_string()),
            other => self.fail(cx, member, format!("it answered {other:?}")),
        }
        None
    }

    fn fail(&mut self, cx: &mut Context<'_>, member: MemberIndex, why: String) {
        self.answers.insert(member, Answer::Failed(why));
        self.ask_more(cx, 1);
    }

    /// Asks up to `count` more live members; one value is on its way or here at any time.
    fn ask_more(&mut self, cx: &mut Context<'_>, count: usize) {
        let mut has_value = self.answers.values().any(|answer| {
            matches!(
                answer,
                Answer::Pending(Asked::Record | Asked::Teaching)
                    | Answer::Got {
                        record: Some(_),
                        ..
                    }
            )
        });
        let unasked = self.order.iter().copied();
        let unasked: SmallVec<[_; 8]> = unasked
            .filter(|&member| !self.answers.has(member) && cx.is_live(member))
            .take(count)
            .collect();
        for member in unasked {
            // Whoever may have to answer alone is asked for all.
            let whole = !has_value || self.demand == Demand::Available;
            self.ask(
                cx,
                member,
                if whole { Asked::Record } else { Asked::Version },
            );
            has_value = true;
        }
    }

    fn ask(&mut self, cx: &mut Context<'_>, member: MemberIndex, asked: Asked) {
        let slot = self.key.slot();
        let scope = Scope {
            slot,
            epoch: cx.placement.epoch(),
            began_at: cx.began_at,
        };
        let key = self.key.clone();
        let request = match asked {
            Asked::Version => Request::GetVersion { scope, key },
            Asked::Record | Asked::Teaching => Request::Get { scope, key },
        };
        let tag = cx.send(member, request);
        self.tags.insert(tag, member);
        self.answers.insert(member, Answer::Pending(asked));
    }

    fn voters(&self) -> usize {
        let voter = |answer: &&Answer| {
            matches!(
                answer,
                Answer::Got {
                    standing: Standing::Voter,
                    ..
                }
            )
        };
        self.answers.values().filter(voter).count()
    }

    fn is_pending(&self) -> bool {
        self.answers
            .values()
            .any(|answer| matches!(answer, Answer::Pending(_)))
    }

    fn progress(&mut self, cx: &mut Context<'_>) -> Progress<Collected> {
        if self.voters() >= self.needed {
            return self.decide(cx);
        }
        // A member that answered without counting makes room for another.
        let able = self.voters()
            + self
                .answers
                .values()
                .filter(|a| matches!(a, Answer::Pending(_)))
                .count();
        if able < self.needed {
            self.ask_more(cx, self.needed - able);
        }
        if self.is_pending() {
            return Progress::Pending;
        }
        let heard = self
            .answers
            .values()
            .any(|answer| matches!(answer, Answer::Got { .. }));
        if self.demand == Demand::Available && heard {
            return self.decide(cx);
        }
        let (slot, absent) = (self.key.slot(), self.absent(cx));
        Progress::Ended(Collected::Failed(Failure::TooFew {
            slot,
            needed: self.needed,
            copies: self.order.len(),
            able: self.voters(),
            absent,
        }))
    }

    fn newest(&self) -> Option<Found> {
        let found = self.answers.values().filter_map(|answer| match answer {
            Answer::Got { found, .. } => *found,
            _ => None,
        });
        found.max_by_key(|found| found.version())
    }

    fn record_of(&self, version: Version) -> Option<&Record> {
        self.answers.values().find_map(|answer| match answer {
            Answer::Got {
                record: Some(record),
                ..
            } if record.version == version => Some(record),
            _ => None,
        })
    }

    fn newest_is_at_hand(&self) -> bool {
        match self.newest() {
            Some(Found::Value(version)) => self.record_of(version).is_some(),
            _ => true,
        }
    }

    /// Members with exactly this version; only voters, where asked for.
    fn holders(&self, version: Version, only_voters: bool) -> Vec<MemberIndex> {
        let holds = |answer: &Answer| match answer {
            Answer::Got {
                found: Some(found),
                standing,
                ..
            } => found.version() == version && (!only_voters || *standing == Standing::Voter),
            _ => false,
        };
        let holders = self.answers.iter().filter(|(_, answer)| holds(answer));
        holders.map(|(member, _)| member).collect()
    }

    fn decide(&mut self, cx: &mut Context<'_>) -> Progress<Collected> {
        let partial = (self.voters() < self.needed).then(|| Partial {
            answered: self
                .answers
                .values()
                .filter(|a| matches!(a, Answer::Got { .. }))
                .count(),
            needed: self.needed,
            absent: self.absent(cx),
        });
        let Some(newest) = self.newest() else {
            return Progress::Ended(Collected::Absent { partial });
        };
        let version = newest.version();
        let record = match newest {
            Found::Tombstone(_) => Some(Record::tombstone(version)),
            Found::Value(_) => self.record_of(version).cloned(),
        };
        if let Some(record) = record {
            let holders = self.holders(version, true);
            let sources = self.holders(version, false);
            return Progress::Ended(Collected::Newest {
                record,
                holders,
                sources,
                partial,
            });
        }
        // The version is known, the value is not: its holder is asked for all of it.
        if let Some(&holder) = self.holders(version, false).first() {
            self.ask(cx, holder, Asked::Record);
        }
        Progress::Pending
    }

    fn absent(&self, cx: &Context<'_>) -> Vec<Absent> {
        // By member, since the order of asking differs from read to read.
        let mut members = self.order.clone();
        members.sort_unstable();
        let absent = members.into_iter().filter_map(|member| {
            let why = match self.answers.get(member) {
                Some(Answer::Got {
                    standing: Standing::Voter,
                    ..
                }) => return None,
                Some(Answer::Got { .. }) => "it is catching up and counts in no quorum",
                Some(Answer::Pending(_)) => "no answer yet",
                Some(Answer::Failed(why)) => why,
                None if cx.is_live(member) => "not asked",
                None => "not connected",
            };
            Some(Absent::new(cx.placement, member, why))
        });
        absent.collect()
    }
}
