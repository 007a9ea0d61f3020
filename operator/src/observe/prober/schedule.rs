//! Whom to ask when. Pure.

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

/// Pause after an answer that all is well.
const CONTENT: Duration = Duration::from_secs(3);

/// Pause after an answer that something goes on.
const BUSY: Duration = Duration::from_secs(1);

/// Longest pause after no answer; the first is [`BUSY`], and each is twice the one before.
const SILENT_MAX: Duration = Duration::from_secs(30);

/// What an answer was like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mood {
    /// Ready.
    Content,
    /// Not ready.
    Busy,
    /// There was none.
    Silent,
}

/// When each is asked next.
#[derive(Debug, Default)]
pub(super) struct Schedule(HashMap<String, Entry>);

#[derive(Debug)]
struct Entry {
    /// `None` while it is being asked.
    next: Option<Instant>,
    silence: Duration,
    version: String,
}

impl Schedule {
    /// Whom of those that are `seen` to ask now, at most `room` of them; who is not seen is forgotten.
    pub(super) fn due<'a>(
        &mut self,
        seen: impl Iterator<Item = (&'a str, &'a str)>,
        now: Instant,
        room: usize,
    ) -> HashSet<String> {
        let mut due = HashSet::new();
        let mut there = HashSet::new();
        for (uid, version) in seen {
            there.insert(uid);
            let entry = self.0.entry(uid.to_owned()).or_insert_with(|| Entry {
                next: Some(now),
                silence: BUSY,
                version: version.to_owned(),
            });
            if entry.version != version {
                version.clone_into(&mut entry.version);
                entry.silence = BUSY;
                entry.next = entry.next.map(|next| next.min(now));
            }
            if due.len() < room && entry.next.is_some_and(|next| next <= now) {
                entry.next = None;
                due.insert(uid.to_owned());
            }
        }
        self.0.retain(|uid, _| there.contains(uid.as_str()));
        due
    }

    /// It answered, or not.
    pub(super) fn answered(&mut self, uid: &str, mood: Mood, now: Instant) {
        let Some(entry) = self.0.get_mut(uid) else {
            return;
        };
        let pause = match mood {
            Mood::Content => CONTENT,
            Mood::Busy => BUSY,
            Mood::Silent => entry.silence,
        };
        entry.silence = match mood {
            Mood::Silent => (entry.silence * 2).min(SILENT_MAX),
            Mood::Content | Mood::Busy => BUSY,
        };
        entry.next = Some(now + pause);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(schedule: &mut Schedule, version: &str, now: Instant) -> bool {
        !schedule
            .due([("a", version)].into_iter(), now, 9)
            .is_empty()
    }

    #[test]
    fn nobody_is_asked_twice_at_once_and_silence_makes_pauses_longer() {
        let (mut now, mut schedule) = (Instant::now(), Schedule::default());
        assert!(due(&mut schedule, "1", now));
        assert!(
            !due(&mut schedule, "1", now + Duration::from_mins(1)),
            "it is being asked"
        );
        let mut pauses = Vec::new();
        for _ in 0..7 {
            schedule.answered("a", Mood::Silent, now);
            let asked = now;
            while !due(&mut schedule, "1", now) {
                now += Duration::from_millis(500);
            }
            pauses.push((now - asked).as_secs());
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30]);
    }

    #[test]
    fn a_pod_that_changed_is_asked_at_once() {
        let (now, mut schedule) = (Instant::now(), Schedule::default());
        assert!(due(&mut schedule, "1", now));
        schedule.answered("a", Mood::Content, now);
        assert!(!due(&mut schedule, "1", now + Duration::from_millis(100)));
        assert!(due(&mut schedule, "2", now + Duration::from_millis(100)));
    }

    #[test]
    fn only_as_many_as_there_is_room_for() {
        let (now, mut schedule) = (Instant::now(), Schedule::default());
        let all = [("a", "1"), ("b", "1"), ("c", "1")];
        assert_eq!(schedule.due(all.into_iter(), now, 2).len(), 2);
        assert_eq!(schedule.due(all.into_iter(), now, 2).len(), 1);
    }
}
