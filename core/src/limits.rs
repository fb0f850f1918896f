//! Every bound of the store, in one place, checked against each other when it is built.

use crate::log::entry::{SECTOR_BYTES, record_bytes};

/// Bounds that hold for one group. Bytes are bytes, counts are counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// One event frame ([`crate::event`]).
    pub event_bytes_max: u32,
    /// All event frames of one append.
    pub append_bytes_max: u32,
    /// A stream's name.
    pub stream_name_bytes_max: u32,
    /// An event's type.
    pub event_type_bytes_max: u32,
    /// An event's own metadata.
    pub event_metadata_bytes_max: u32,
    /// A stream's metadata, kept with its head in memory.
    pub stream_metadata_bytes_max: u32,
    /// A filter's prefixes together, or its expression.
    pub filter_bytes_max: u32,
    /// What one entry gathers before the next is begun; one larger append still is one entry.
    pub entry_bytes_target: u32,
    /// Entry writes that a leader has in flight before appends gather for the next.
    pub log_writes_in_flight_max: u32,
    /// Entry writes that the log has in flight at once; a follower that catches up uses them all.
    pub log_submissions_max: u32,
    /// Entries that a leader has sent and that are not committed, before appends gather for the
    /// next.
    pub entries_uncommitted_max: u32,
    /// Bytes that a leader has sent to one follower and that are not on that one's disk; one entry
    /// may always be under way.
    pub follower_bytes_max: u32,
    /// Bytes of entries in one message; one longer entry still is one message.
    pub message_bytes_target: u32,
    /// Reads that wait until the leader knows that it still leads; beyond it: overloaded.
    pub pending_reads_max: u32,
    /// Bytes of appends that wait for a decision or for the disk; beyond it: overloaded.
    pub pending_bytes_max: u32,
    /// Appends that wait for a decision or for the disk; beyond it: overloaded.
    pub pending_appends_max: u32,
    /// Stream heads kept in memory.
    pub heads_max: u32,
    /// Metadata of streams kept in memory with their heads.
    pub heads_metadata_bytes_max: u32,
    /// Events, newest first, whose ids are remembered.
    pub recent_ids_max: u32,
    /// One segment of the log, its header and footer included.
    pub segment_bytes: u32,
}

impl Limits {
    /// What a node runs with.
    pub const PRODUCTION: Self = Self {
        event_bytes_max: 16 << 20,
        append_bytes_max: 32 << 20,
        stream_name_bytes_max: 1024,
        event_type_bytes_max: 1024,
        event_metadata_bytes_max: 1 << 20,
        stream_metadata_bytes_max: 16 << 10,
        filter_bytes_max: 16 << 10,
        entry_bytes_target: 1 << 20,
        log_writes_in_flight_max: 2,
        log_submissions_max: 16,
        entries_uncommitted_max: 16,
        follower_bytes_max: 32 << 20,
        message_bytes_target: 1 << 20,
        pending_reads_max: 1 << 14,
        pending_bytes_max: 64 << 20,
        pending_appends_max: 1 << 16,
        heads_max: 1 << 16,
        heads_metadata_bytes_max: 16 << 20,
        recent_ids_max: 1 << 15,
        segment_bytes: 64 << 20,
    }
    .checked();

    /// What tests run with, so that edges are common.
    pub const TINY: Self = Self {
        event_bytes_max: 1024,
        append_bytes_max: 4096,
        stream_name_bytes_max: 32,
        event_type_bytes_max: 32,
        event_metadata_bytes_max: 256,
        stream_metadata_bytes_max: 256,
        filter_bytes_max: 64,
        entry_bytes_target: 1024,
        log_writes_in_flight_max: 2,
        log_submissions_max: 3,
        entries_uncommitted_max: 3,
        follower_bytes_max: 8192,
        message_bytes_target: 2048,
        pending_reads_max: 8,
        pending_bytes_max: 8192,
        pending_appends_max: 16,
        heads_max: 4,
        heads_metadata_bytes_max: 512,
        recent_ids_max: 16,
        segment_bytes: 10 * 4096,
    }
    .checked();

    /// The same limits, once they are known to fit each other.
    ///
    /// # Panics
    ///
    /// Where they don't; for the constants above that is when they are compiled.
    #[must_use]
    pub const fn checked(self) -> Self {
        match self.problem() {
            None => self,
            Some(problem) => panic!("{}", problem),
        }
    }

    /// What does not fit, in words for the person who set these limits; `None` where all do.
    #[must_use]
    pub const fn problem(&self) -> Option<&'static str> {
        if self.append_bytes_max > 256 << 20 {
            return Some("append_bytes_max is at most 256 MiB");
        }
        if self.event_bytes_max > self.append_bytes_max {
            return Some("an event must fit in an append: event_bytes_max <= append_bytes_max");
        }
        // "$$" stands before a stream's name in the name of its metadata stream.
        if self.stream_name_bytes_max > u16::MAX as u32 - 2
            || self.event_type_bytes_max > u16::MAX as u32
        {
            return Some(
                "stream_name_bytes_max is at most 65533 and event_type_bytes_max at most 65535",
            );
        }
        // The header, `$$`, `$metadata` and a new `$tb` come to less than 128 bytes.
        let metadata_event =
            self.stream_metadata_bytes_max as u64 + self.stream_name_bytes_max as u64 + 128;
        if metadata_event > self.event_bytes_max as u64 {
            return Some(
                "stream metadata is one event: stream_metadata_bytes_max + \
                 stream_name_bytes_max + 128 <= event_bytes_max",
            );
        }
        if self.append_bytes_max > self.pending_bytes_max {
            return Some("an append must be able to wait: append_bytes_max <= pending_bytes_max");
        }
        if self.log_writes_in_flight_max == 0 || self.heads_max == 0 || self.recent_ids_max == 0 {
            return Some("log_writes_in_flight_max, heads_max and recent_ids_max must not be zero");
        }
        if self.log_submissions_max < self.log_writes_in_flight_max
            || self.entries_uncommitted_max < self.log_writes_in_flight_max
        {
            return Some(
                "log_submissions_max and entries_uncommitted_max are at least \
                 log_writes_in_flight_max",
            );
        }
        if self.follower_bytes_max == 0
            || self.message_bytes_target == 0
            || self.pending_reads_max == 0
        {
            return Some(
                "follower_bytes_max, message_bytes_target and pending_reads_max must not be zero",
            );
        }
        if self.entry_bytes_target > 256 << 20 {
            return Some("entry_bytes_target is at most 256 MiB");
        }
        if !(self.segment_bytes as u64).is_multiple_of(SECTOR_BYTES) {
            return Some("segment_bytes must be a multiple of 4096");
        }
        let record = record_bytes(self.entry_body_bytes_max());
        if record + SEGMENT_OVERHEAD_BYTES > self.segment_bytes as u64 {
            return Some(
                "an entry must fit in a segment: append_bytes_max + entry_bytes_target + \
                 event_bytes_max, and 1 % more, <= segment_bytes",
            );
        }
        None
    }

    /// The longest body of an entry: one append over the target and, where it revives a deleted
    /// stream, one metadata event.
    #[must_use]
    pub const fn entry_body_bytes_max(&self) -> u32 {
        self.append_bytes_max + self.entry_bytes_target + self.event_bytes_max
    }
}

/// A segment's own header and footer.
pub const SEGMENT_OVERHEAD_BYTES: u64 = 3 * SECTOR_BYTES;
