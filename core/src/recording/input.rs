//! The form of an input.

use alloc::vec::Vec;

use super::{Recorded, RecordingError, Sink, Source, write_bytes};
use crate::id::{EventId, RequestId, Revision};
use crate::input::{Boot, Input, LoadedHead, Voter};
use crate::log::entry::EntryHeader;
use crate::request::{Change, Expected, Proposal};

/// Writes an input, with all that it lends.
pub fn write_input(input: &Input<'_>, out: &mut impl Sink) {
    match *input {
        Input::Recovered { entry, body, committed } => {
            out.number(0);
            entry.record(out);
            write_bytes(body, out);
            committed.record(out);
        }
        Input::Boot(boot) => {
            out.number(1);
            write_boot(boot, out);
        }
        Input::HardStateWritten(state) => {
            out.number(2);
            state.record(out);
        }
        Input::Received { from, message, entries } => {
            out.number(3);
            from.record(out);
            message.record(out);
            out.number(entries.len() as u64);
            for (entry, body) in entries {
                entry.record(out);
                write_bytes(body, out);
            }
        }
        Input::PeerUp { node } => {
            out.number(4);
            node.record(out);
        }
        Input::PeerDown { node } => {
            out.number(5);
            node.record(out);
        }
        Input::SentFromLog { to, session, last } => {
            out.number(6);
            to.record(out);
            session.record(out);
            last.record(out);
        }
        Input::Truncated { index } => {
            out.number(7);
            index.record(out);
        }
        Input::Tick => out.number(8),
        Input::DiskFailed => out.number(9),
        Input::Transfer { request, to } => {
            out.number(10);
            request.record(out);
            to.record(out);
        }
        Input::EntryWritten { epoch, index } => {
            out.number(11);
            epoch.record(out);
            index.record(out);
        }
        Input::Propose(ref proposal) => {
            out.number(12);
            write_proposal(proposal, out);
        }
        Input::HeadLoaded { stream, epoch, ref head } => {
            out.number(13);
            write_bytes(stream.as_bytes(), out);
            epoch.record(out);
            write_head(head, out);
        }
        Input::IdsLoaded { request, ids, position } => {
            out.number(14);
            request.record(out);
            position.record(out);
            out.number(ids.len() as u64);
            ids.iter().for_each(|id| id.record(out));
        }
        Input::HeadUnreadable { stream, epoch } => {
            out.number(15);
            write_bytes(stream.as_bytes(), out);
            epoch.record(out);
        }
        Input::IdsUnreadable { request } => {
            out.number(16);
            request.record(out);
        }
        Input::Read { request, consistency } => {
            out.number(17);
            request.record(out);
            consistency.record(out);
        }
        Input::DiskSpace { full } => {
            out.number(18);
            full.record(out);
        }
        Input::EndTurn => out.number(19),
    }
}

fn write_boot(boot: &Boot<'_>, out: &mut impl Sink) {
    let Boot { node, disk, log, hard_state, voters, timing, end, committed, seed } = boot;
    node.record(out);
    disk.record(out);
    log.record(out);
    hard_state.record(out);
    out.number(voters.len() as u64);
    voters.iter().for_each(|voter| voter.record(out));
    timing.record(out);
    end.record(out);
    committed.record(out);
    seed.record(out);
}

fn write_proposal(proposal: &Proposal<'_>, out: &mut impl Sink) {
    let Proposal { request, stream, expected, change, retry_since } = proposal;
    request.record(out);
    write_bytes(stream.as_bytes(), out);
    expected.record(out);
    match *change {
        Change::Append { frames, count } => {
            out.number(0);
            write_bytes(frames, out);
            count.record(out);
        }
        Change::Delete { id } => {
            out.number(1);
            id.record(out);
        }
        Change::Tombstone { id } => {
            out.number(2);
            id.record(out);
        }
    }
    retry_since.record(out);
}

fn write_head(head: &LoadedHead<'_>, out: &mut impl Sink) {
    let LoadedHead { last, tombstoned, metadata_last, metadata } = head;
    last.record(out);
    tombstoned.record(out);
    metadata_last.record(out);
    metadata.is_some().record(out);
    if let Some(metadata) = metadata {
        write_bytes(metadata, out);
    }
}

/// Reads an input and lends it to `take`.
///
/// # Errors
///
/// [`RecordingError`] where there is none; `take` is not called then.
pub fn read_input<T>(
    from: &mut Source<'_>,
    take: impl FnOnce(Input<'_>) -> T,
) -> Result<T, RecordingError> {
    let input = match from.number()? {
        0 => {
            let entry = EntryHeader::read(from)?;
            let body = from.bytes()?;
            let committed = bool::read(from)?;
            return Ok(take(Input::Recovered { entry: &entry, body, committed }));
        }
        1 => return read_boot(from, take),
        3 => return read_received(from, take),
        14 => {
            let (request, position) = (RequestId::read(from)?, Recorded::read(from)?);
            let ids = Vec::<EventId>::read(from)?;
            return Ok(take(Input::IdsLoaded { request, ids: &ids, position }));
        }
        2 => Input::HardStateWritten(Recorded::read(from)?),
        4 => Input::PeerUp { node: Recorded::read(from)? },
        5 => Input::PeerDown { node: Recorded::read(from)? },
        6 => Input::SentFromLog {
            to: Recorded::read(from)?,
            session: Recorded::read(from)?,
            last: Recorded::read(from)?,
        },
        7 => Input::Truncated { index: Recorded::read(from)? },
        8 => Input::Tick,
        9 => Input::DiskFailed,
        10 => Input::Transfer { request: Recorded::read(from)?, to: Recorded::read(from)? },
        11 => Input::EntryWritten { epoch: Recorded::read(from)?, index: Recorded::read(from)? },
        12 => Input::Propose(read_proposal(from)?),
        13 => Input::HeadLoaded {
            stream: from.text()?,
            epoch: Recorded::read(from)?,
            head: read_head(from)?,
        },
        15 => Input::HeadUnreadable { stream: from.text()?, epoch: Recorded::read(from)? },
        16 => Input::IdsUnreadable { request: Recorded::read(from)? },
        17 => Input::Read { request: Recorded::read(from)?, consistency: Recorded::read(from)? },
        18 => Input::DiskSpace { full: Recorded::read(from)? },
        19 => Input::EndTurn,
        _ => return Err(RecordingError::Malformed { what: "input" }),
    };
    Ok(take(input))
}

fn read_boot<T>(
    from: &mut Source<'_>,
    take: impl FnOnce(Input<'_>) -> T,
) -> Result<T, RecordingError> {
    let (node, disk, log) = (Recorded::read(from)?, Recorded::read(from)?, Recorded::read(from)?);
    let hard_state = Recorded::read(from)?;
    let voters = Vec::<Voter>::read(from)?;
    let boot = Boot {
        node,
        disk,
        log,
        hard_state,
        voters: &voters,
        timing: Recorded::read(from)?,
        end: Recorded::read(from)?,
        committed: Recorded::read(from)?,
        seed: Recorded::read(from)?,
    };
    Ok(take(Input::Boot(&boot)))
}

fn read_received<T>(
    from: &mut Source<'_>,
    take: impl FnOnce(Input<'_>) -> T,
) -> Result<T, RecordingError> {
    let (sender, message) = (Recorded::read(from)?, Recorded::read(from)?);
    let mut entries = Vec::new();
    for _ in 0..from.count()? {
        entries.push((EntryHeader::read(from)?, from.bytes()?));
    }
    Ok(take(Input::Received { from: sender, message, entries: &entries }))
}

fn read_proposal<'a>(from: &mut Source<'a>) -> Result<Proposal<'a>, RecordingError> {
    Ok(Proposal {
        request: Recorded::read(from)?,
        stream: from.text()?,
        expected: Expected::read(from)?,
        change: match from.number()? {
            0 => Change::Append { frames: from.bytes()?, count: Recorded::read(from)? },
            1 => Change::Delete { id: Recorded::read(from)? },
            2 => Change::Tombstone { id: Recorded::read(from)? },
            _ => return Err(RecordingError::Malformed { what: "change" }),
        },
        retry_since: Recorded::read(from)?,
    })
}

fn read_head<'a>(from: &mut Source<'a>) -> Result<LoadedHead<'a>, RecordingError> {
    Ok(LoadedHead {
        last: Option::<Revision>::read(from)?,
        tombstoned: Recorded::read(from)?,
        metadata_last: Recorded::read(from)?,
        metadata: if bool::read(from)? { Some(from.bytes()?) } else { None },
    })
}
