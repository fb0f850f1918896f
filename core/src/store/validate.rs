//! The bounds of a proposal, checked before anything is decided or copied: here and not at the
//! doors, so that every door has the same.

use super::metadata::StreamMetadata;
use super::name;
use crate::event::{self, EventFrame};
use crate::limits::Limits;
use crate::request::{Bound, Change, Proposal, Rejection};

/// Whether a proposal keeps all bounds.
///
/// # Errors
///
/// The [`Rejection`] that names the first bound it breaks.
pub(crate) fn validate(limits: &Limits, proposal: &Proposal<'_>) -> Result<(), Rejection> {
    if !name::is_valid(proposal.stream) {
        return Err(Rejection::InvalidStreamName);
    }
    let owner = name::metadata_owner(proposal.stream);
    let name_bytes = owner.unwrap_or(proposal.stream).len();
    bound(Bound::StreamNameBytes, limits.stream_name_bytes_max, name_bytes)?;
    match proposal.change {
        Change::Append { frames, count } => {
            bound(Bound::AppendBytes, limits.append_bytes_max, frames.len())?;
            let mut found = 0;
            for frame in event::frames(frames) {
                let (_, frame) = frame.map_err(|_| Rejection::InvalidEvent)?;
                validate_event(limits, proposal.stream, frame)?;
                if owner.is_some() {
                    validate_metadata(limits, frame)?;
                }
                found += 1;
            }
            if found == count { Ok(()) } else { Err(Rejection::InvalidEvent) }
        }
        Change::Delete { .. } | Change::Tombstone { .. } if owner.is_some() => {
            Err(Rejection::InvalidStreamName)
        }
        Change::Delete { .. } | Change::Tombstone { .. } => Ok(()),
    }
}

fn validate_event(limits: &Limits, stream: &str, frame: EventFrame<'_>) -> Result<(), Rejection> {
    bound(Bound::EventBytes, limits.event_bytes_max, frame.bytes().len())?;
    bound(Bound::EventMetadataBytes, limits.event_metadata_bytes_max, frame.metadata().len())?;
    let event_type = frame.event_type();
    bound(Bound::EventTypeBytes, limits.event_type_bytes_max, event_type.len())?;
    let is_ours = event_type.is_empty() || event_type == name::TOMBSTONE_TYPE;
    if is_ours || frame.stream() != stream { Err(Rejection::InvalidEvent) } else { Ok(()) }
}

fn validate_metadata(limits: &Limits, frame: EventFrame<'_>) -> Result<(), Rejection> {
    bound(Bound::StreamMetadataBytes, limits.stream_metadata_bytes_max, frame.data().len())?;
    StreamMetadata::parse(frame.data()).map_err(|_| Rejection::InvalidMetadata)?;
    Ok(())
}

fn bound(bound: Bound, max: u32, found: usize) -> Result<(), Rejection> {
    if found <= max as usize {
        return Ok(());
    }
    Err(Rejection::TooLarge { bound, max: u64::from(max), found: found as u64 })
}
