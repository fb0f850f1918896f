//! Deliberate breaks of the protocol: what shows that the checkers see.
//!
//! Without the crate's feature `mutants` none of them can be switched on, and the questions whether
//! one is are compiled away.

/// One break.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mutant {
    /// A candidate counts votes of any epoch.
    CountsOldVotes,
    /// A voter gives its vote to everyone who asks.
    VotesTwice,
    /// A vote is told before it is on disk.
    VotesBeforeWrite,
    /// A voter does not compare logs.
    IgnoresLogs,
    /// The vote is forgotten in a restart.
    ForgetsVote,
    /// A follower says that entries are durable before they are.
    AcksBeforeWrite,
    /// A leader counts an acknowledgement by its index alone, also one of another reign.
    AcksByIndex,
    /// A leader takes what belongs to an earlier session for the present one.
    DropsSession,
    /// A node campaigns without asking whether it would be elected.
    SkipsPreVote,
    /// A voter elects others though it hears a leader.
    SkipsStickiness,
    /// A leader that nobody answers goes on.
    SkipsCheckQuorum,
    /// A leader commits entries of earlier epochs by counting.
    CommitsOldEpochs,
    /// A leader commits what one node has.
    CommitsAlone,
    /// A follower commits what the leader has committed, whether or not it has that.
    CommitsUnmatched,
    /// A follower keeps its own entries where the leader has others.
    SkipsTruncation,
    /// A leader serves reads without asking whether it still leads.
    ReadsWithoutRound,
    /// A leader takes any answer for a fresh one.
    ReusesRounds,
    /// A node whose disk has failed goes on to vote and campaign.
    VotesAfterFailure,
    /// A leader that is deposed tells its clients that all is well.
    AcksWhenDeposed,
    /// A leader takes appends before its epoch record is committed.
    ServesBeforeReady,
    /// Entries go to the disk before the promise of their epoch is there.
    WritesBeforeEpoch,
    /// A write that has ended counts for whichever entry stands at its index now.
    CountsAnyWrite,
}

impl Mutant {
    /// It takes several rare things in a row for one of these to do harm, so hardly a seed notices
    /// it: the transcripts of groups play just that. All others are noticed under seeds.
    pub const RARE: [Self; 6] = [
        Self::AcksByIndex,
        Self::CountsAnyWrite,
        Self::DropsSession,
        Self::ReusesRounds,
        Self::VotesAfterFailure,
        Self::WritesBeforeEpoch,
    ];

    /// All of them.
    pub const ALL: [Self; 22] = [
        Self::CountsOldVotes,
        Self::VotesTwice,
        Self::VotesBeforeWrite,
        Self::IgnoresLogs,
        Self::ForgetsVote,
        Self::AcksBeforeWrite,
        Self::AcksByIndex,
        Self::DropsSession,
        Self::SkipsPreVote,
        Self::SkipsStickiness,
        Self::SkipsCheckQuorum,
        Self::CommitsOldEpochs,
        Self::CommitsAlone,
        Self::CommitsUnmatched,
        Self::SkipsTruncation,
        Self::ReadsWithoutRound,
        Self::ReusesRounds,
        Self::VotesAfterFailure,
        Self::AcksWhenDeposed,
        Self::ServesBeforeReady,
        Self::WritesBeforeEpoch,
        Self::CountsAnyWrite,
    ];
}

/// The break that is switched on, if any.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Switch(#[cfg(feature = "mutants")] Option<Mutant>);

impl Switch {
    /// Switches one on, or none.
    ///
    /// # Panics
    ///
    /// Where one is wanted and the crate was built without its feature `mutants`.
    pub(crate) fn new(mutant: Option<Mutant>) -> Self {
        #[cfg(feature = "mutants")]
        return Self(mutant);
        #[cfg(not(feature = "mutants"))]
        {
            assert!(mutant.is_none(), "this program was built without the feature `mutants`");
            Self()
        }
    }

    /// Whether this one is on.
    #[cfg(feature = "mutants")]
    pub(crate) fn is(self, mutant: Mutant) -> bool {
        self.0 == Some(mutant)
    }

    /// Whether this one is on.
    #[cfg(not(feature = "mutants"))]
    #[expect(clippy::unused_self, reason = "with the feature it is used")]
    pub(crate) const fn is(self, _: Mutant) -> bool {
        false
    }
}
