//! The archives of values that several messages share, and their way to the core's types and back.

use quorate_core::id::{NodeId, Position, Revision};
use quorate_core::request::{Appended, Bound, Expected, Rejection};
use rkyv::{Archive, Serialize};

#[derive(Archive, Serialize)]
pub(super) enum ExpectedBody {
    Any,
    NoStream,
    StreamExists,
    Exact(u64),
}

impl From<Expected> for ExpectedBody {
    fn from(expected: Expected) -> Self {
        match expected {
            Expected::Any => Self::Any,
            Expected::NoStream => Self::NoStream,
            Expected::StreamExists => Self::StreamExists,
            Expected::Exact(revision) => Self::Exact(revision.get()),
        }
    }
}

impl From<&ArchivedExpectedBody> for Expected {
    fn from(archived: &ArchivedExpectedBody) -> Self {
        match archived {
            ArchivedExpectedBody::Any => Self::Any,
            ArchivedExpectedBody::NoStream => Self::NoStream,
            ArchivedExpectedBody::StreamExists => Self::StreamExists,
            ArchivedExpectedBody::Exact(revision) => {
                Self::Exact(Revision::from_wire(revision.to_native()))
            }
        }
    }
}

#[derive(Archive, Serialize)]
pub(super) struct AppendedBody {
    first: Option<u64>,
    last: Option<u64>,
    position: u64,
    duplicate: bool,
}

impl From<&Appended> for AppendedBody {
    fn from(appended: &Appended) -> Self {
        Self {
            first: appended.first.map(Revision::get),
            last: appended.last.map(Revision::get),
            position: appended.position.get(),
            duplicate: appended.duplicate,
        }
    }
}

impl From<&ArchivedAppendedBody> for Appended {
    fn from(archived: &ArchivedAppendedBody) -> Self {
        Self {
            first: revision(&archived.first),
            last: revision(&archived.last),
            position: Position::from_wire(archived.position.to_native()),
            duplicate: archived.duplicate,
        }
    }
}

#[derive(Archive, Serialize)]
pub(super) enum BoundBody {
    Event,
    Append,
    StreamName,
    EventType,
    EventMetadata,
    StreamMetadata,
    Filter,
}

impl From<Bound> for BoundBody {
    fn from(bound: Bound) -> Self {
        match bound {
            Bound::EventBytes => Self::Event,
            Bound::AppendBytes => Self::Append,
            Bound::StreamNameBytes => Self::StreamName,
            Bound::EventTypeBytes => Self::EventType,
            Bound::EventMetadataBytes => Self::EventMetadata,
            Bound::StreamMetadataBytes => Self::StreamMetadata,
            Bound::FilterBytes => Self::Filter,
        }
    }
}

impl From<&ArchivedBoundBody> for Bound {
    fn from(archived: &ArchivedBoundBody) -> Self {
        match archived {
            ArchivedBoundBody::Event => Self::EventBytes,
            ArchivedBoundBody::Append => Self::AppendBytes,
            ArchivedBoundBody::StreamName => Self::StreamNameBytes,
            ArchivedBoundBody::EventType => Self::EventTypeBytes,
            ArchivedBoundBody::EventMetadata => Self::EventMetadataBytes,
            ArchivedBoundBody::StreamMetadata => Self::StreamMetadataBytes,
            ArchivedBoundBody::Filter => Self::FilterBytes,
        }
    }
}

#[derive(Archive, Serialize)]
pub(super) enum RejectionBody {
    WrongRevision { expected: ExpectedBody, actual: Option<u64> },
    CorruptedIdempotency { actual: Option<u64> },
    StreamDeleted,
    RetryExpired,
    Overloaded,
    DiskFull,
    NotReady,
    TooLarge { bound: BoundBody, max: u64, found: u64 },
    InvalidStreamName,
    InvalidMetadata,
    InvalidEvent,
    Damaged,
    NotLeader { leader: Option<u64> },
}

impl From<&Rejection> for RejectionBody {
    fn from(rejection: &Rejection) -> Self {
        match rejection {
            Rejection::WrongRevision { expected, actual } => Self::WrongRevision {
                expected: (*expected).into(),
                actual: actual.map(Revision::get),
            },
            Rejection::CorruptedIdempotency { actual } => {
                Self::CorruptedIdempotency { actual: actual.map(Revision::get) }
            }
            Rejection::StreamDeleted => Self::StreamDeleted,
            Rejection::RetryExpired => Self::RetryExpired,
            Rejection::Overloaded => Self::Overloaded,
            Rejection::DiskFull => Self::DiskFull,
            Rejection::NotReady => Self::NotReady,
            Rejection::TooLarge { bound, max, found } => {
                Self::TooLarge { bound: (*bound).into(), max: *max, found: *found }
            }
            Rejection::InvalidStreamName => Self::InvalidStreamName,
            Rejection::InvalidMetadata => Self::InvalidMetadata,
            Rejection::InvalidEvent => Self::InvalidEvent,
            Rejection::Damaged => Self::Damaged,
            Rejection::NotLeader { leader } => Self::NotLeader { leader: leader.map(NodeId::get) },
        }
    }
}

impl From<&ArchivedRejectionBody> for Rejection {
    fn from(archived: &ArchivedRejectionBody) -> Self {
        match archived {
            ArchivedRejectionBody::WrongRevision { expected, actual } => {
                Self::WrongRevision { expected: expected.into(), actual: revision(actual) }
            }
            ArchivedRejectionBody::CorruptedIdempotency { actual } => {
                Self::CorruptedIdempotency { actual: revision(actual) }
            }
            ArchivedRejectionBody::StreamDeleted => Self::StreamDeleted,
            ArchivedRejectionBody::RetryExpired => Self::RetryExpired,
            ArchivedRejectionBody::Overloaded => Self::Overloaded,
            ArchivedRejectionBody::DiskFull => Self::DiskFull,
            ArchivedRejectionBody::NotReady => Self::NotReady,
            ArchivedRejectionBody::TooLarge { bound, max, found } => Self::TooLarge {
                bound: bound.into(),
                max: max.to_native(),
                found: found.to_native(),
            },
            ArchivedRejectionBody::InvalidStreamName => Self::InvalidStreamName,
            ArchivedRejectionBody::InvalidMetadata => Self::InvalidMetadata,
            ArchivedRejectionBody::InvalidEvent => Self::InvalidEvent,
            ArchivedRejectionBody::Damaged => Self::Damaged,
            ArchivedRejectionBody::NotLeader { leader } => {
                Self::NotLeader { leader: number(leader).map(NodeId::from_wire) }
            }
        }
    }
}

type ArchivedNumber = rkyv::option::ArchivedOption<rkyv::Archived<u64>>;

pub(super) fn number(archived: &ArchivedNumber) -> Option<u64> {
    archived.as_ref().map(|number| number.to_native())
}

fn revision(archived: &ArchivedNumber) -> Option<Revision> {
    number(archived).map(Revision::from_wire)
}
