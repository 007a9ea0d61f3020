//! Records of the log about itself: marks, rosters, retirements, footers.
//!
//! ```text
//! mark     durable 4 | regime 1 | trust 1 | occasion 1 | zero 1
//! retired  segment 4
//! roster   segment 4, as many as there are
//! footer   its own offset 4
//! ```

use super::{
    SegmentId,
    frame::{Kind, Previous, Salt, push, u32_at},
};

/// What begins every batch: how far this segment was durable when it was written. All earlier
/// segments are durable wherever this segment has a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    /// Every byte of the segment below this offset was durable.
    pub durable: u32,
    /// Whether acknowledged batches may be missing behind this one without a trace.
    pub regime: Regime,
    /// Whether acknowledged records may be missing before it.
    pub trust: Trust,
    /// Why it was written.
    pub occasion: Occasion,
}

/// How batches are committed in this run. It only ever goes from strict to relaxed, and the batch
/// that says so is synced: so a log that ends strict has never acknowledged what it could lose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Regime {
    /// Every batch so far was durable before it was acknowledged.
    Strict = 0,
    /// Some were not.
    Relaxed = 1,
}

/// Whether everything the log ever acknowledged is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trust {
    /// It is.
    Intact = 0,
    /// Something may be missing, and was not yet fetched from the other copies.
    InDoubt = 1,
}

/// Why a mark was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Occasion {
    /// A segment was made.
    Created = 0,
    /// A batch begins.
    Batch = 1,
    /// Nothing else was to be written after a sync.
    Idle = 2,
    /// The log was closed.
    Closed = 3,
}

impl Mark {
    fn to_bytes(self) -> [u8; 8] {
        let [a, b, c, d] = self.durable.to_le_bytes();
        let kinds = [self.regime as u8, self.trust as u8, self.occasion as u8];
        [a, b, c, d, kinds[0], kinds[1], kinds[2], 0]
    }

    /// The mark with this body.
    pub(super) fn from_body(body: &[u8]) -> Option<Self> {
        let &[_, _, _, _, regime, trust, occasion, 0] = body else {
            return None;
        };
        Some(Self {
            durable: u32_at(body, 0),
            regime: match regime {
                0 => Regime::Strict,
                1 => Regime::Relaxed,
                _ => return None,
            },
            trust: match trust {
                0 => Trust::Intact,
                1 => Trust::InDoubt,
                _ => return None,
            },
            occasion: match occasion {
                0 => Occasion::Created,
                1 => Occasion::Batch,
                2 => Occasion::Idle,
                3 => Occasion::Closed,
                _ => return None,
            },
        })
    }
}

/// Appends a mark to `out`, which begins at the given place of the file.
pub(super) fn push_mark(
    out: &mut Vec<u8>,
    place: (Salt, u64),
    previous: Previous,
    mark: Mark,
) -> Previous {
    push(out, place, (Kind::Mark, None), previous, |body| {
        body.extend_from_slice(&mark.to_bytes());
    })
}

/// Appends the roster to the head of a file.
pub(super) fn push_roster(out: &mut Vec<u8>, salt: Salt, roster: &[SegmentId]) -> Previous {
    push(
        out,
        (salt, 0),
        (Kind::Roster, None),
        Previous::default(),
        |body| {
            for segment in roster {
                body.extend_from_slice(&segment.0.to_le_bytes());
            }
        },
    )
}

/// Appends the note that a segment leaves the log.
pub(super) fn push_retired(
    out: &mut Vec<u8>,
    place: (Salt, u64),
    previous: Previous,
    segment: SegmentId,
) -> Previous {
    push(out, place, (Kind::Retired, None), previous, |body| {
        body.extend_from_slice(&segment.0.to_le_bytes());
    })
}

/// The footer that ends a segment at this offset.
pub(super) fn footer(salt: Salt, offset: u32, previous: Previous) -> Vec<u8> {
    let mut out = Vec::new();
    push(
        &mut out,
        (salt, u64::from(offset)),
        (Kind::Footer, None),
        previous,
        |body| {
            body.extend_from_slice(&offset.to_le_bytes());
        },
    );
    out
}

/// The segments that a roster or a retirement names.
pub(super) fn segments(body: &[u8]) -> impl Iterator<Item = SegmentId> + '_ {
    body.chunks_exact(4)
        .map(|number| SegmentId(u32_at(number, 0)))
}
