//! Mistakes that can be planted, each of which the model has to find.

/// A mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Bug {
    /// A source serves a session before it acknowledged its epoch.
    SourceBeforeAck,
    /// A member executes a request of a newer epoch without adopting it.
    NewerWithoutAdopting,
    /// Acknowledgements of several epochs are added up.
    AcksAcrossEpochs,
    /// On to leaving with one acknowledgement too few.
    LeaveTooEarly,
    /// On to leaving by acknowledgements of the next set.
    LeaveByNext,
    /// An epoch is acknowledged while an older write is still executed.
    AckBeforeOlderWrites,
    /// A member forgets its epoch when it is restarted.
    EpochNotDurable,
    /// A copy is pulled from one member instead of S.
    SyncFromOne,
    /// Acknowledgements count from whomever they come.
    OutsiderAck,
    /// A lost disk comes back blank under its old name.
    BlankOldIdentity,
    /// A joiner keeps what it held.
    KeepsWhatItHeld,
    /// A stream of an older session is accepted.
    ZombieStream,
    /// What a leaver offers is taken after its time.
    LeaverAfterTime,
    /// "Superseded" counts as an acknowledgement.
    SupersededIsAck,
    /// A read is answered when its result is known on W of the set that it reads.
    ReadOneSet,
    /// Two authors publish under one number.
    TwoAuthors,
    /// Members act on a placement that no majority has accepted.
    Undecided,
    /// A leaver is given up where one copy acknowledges a write.
    GiveUpAtW1,
    /// A read looks after its slot was dropped.
    ReadAfterDrop,
    /// On to switching as soon as the joiner has pulled, whatever the sets are.
    JoinerIsEnough,
}

impl Bug {
    /// All of them.
    pub const ALL: [Self; 20] = [
        Self::SourceBeforeAck,
        Self::NewerWithoutAdopting,
        Self::AcksAcrossEpochs,
        Self::LeaveTooEarly,
        Self::LeaveByNext,
        Self::AckBeforeOlderWrites,
        Self::EpochNotDurable,
        Self::SyncFromOne,
        Self::OutsiderAck,
        Self::BlankOldIdentity,
        Self::KeepsWhatItHeld,
        Self::ZombieStream,
        Self::LeaverAfterTime,
        Self::SupersededIsAck,
        Self::ReadOneSet,
        Self::TwoAuthors,
        Self::Undecided,
        Self::GiveUpAtW1,
        Self::ReadAfterDrop,
        Self::JoinerIsEnough,
    ];
}
