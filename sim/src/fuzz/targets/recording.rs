//! Recordings: nobody who looks into one may be harmed by what is in it.

use quorate_core::Replica;
use quorate_core::id::{DiskId, Epoch, LogIndex, NodeId, RequestId};
use quorate_core::input::{Boot, HardState, Input, Voter};
use quorate_core::limits::Limits;
use quorate_core::log::entry::{LogEnd, LogId};
use quorate_core::recording::{TapeReader, TapeWriter};
use quorate_core::request::Consistency;
use quorate_core::time::Now;
use quorate_core::timing::Timing;
use quorate_node::recorder::segment::{End, Head, Origin, Segment};

use crate::fuzz::Target;

/// A whole file; its checksums are made right behind each mutation.
pub(super) const RECORDING: Target = Target { name: "recording", corpus, repair, decode: takes };

const SALT: u32 = 7;

fn sample() -> Segment {
    let mut replica = Replica::new(Limits::TINY);
    let mut effects = quorate_core::Effects::new();
    let node = NodeId::from_wire(1);
    let voters = [1, 2, 3].map(|number| Voter { node: NodeId::from_wire(number), rank: 0 });
    let boot = Boot {
        node,
        disk: DiskId::from_bytes([1; 16]),
        log: LogId::default(),
        hard_state: HardState::default(),
        voters: &voters,
        timing: Timing::TINY,
        end: LogEnd::default(),
        committed: LogEnd::default(),
        seed: [3; 32],
    };
    let now = Now::default();
    replica.step(now, Input::Boot(&boot), &mut effects);
    let mut state = Vec::new();
    replica.record(&mut state);
    let mut tape = Vec::new();
    let mut writer = TapeWriter::default();
    let request = RequestId::from_wire(5);
    for input in [
        Input::PeerUp { node: NodeId::from_wire(2) },
        Input::Tick,
        Input::Read { request, consistency: Consistency::Committed },
        Input::EntryWritten { epoch: Epoch::from_wire(1), index: LogIndex::from_wire(1) },
        Input::EndTurn,
    ] {
        writer.input(now, &input, &mut tape);
    }
    TapeWriter::digest(replica.digest(), &mut tape);
    let origin = Origin {
        version: env!("CARGO_PKG_VERSION").into(),
        run: [2; 16],
        node,
        log: LogId::default(),
        members: Vec::new(),
    };
    let head = Head { origin, turns: 0, gap: false, now, state };
    Segment { head, tape, end: End::Whole }
}

fn corpus() -> Vec<Vec<u8>> {
    vec![sample().to_bytes(SALT)]
}

fn takes(bytes: &[u8]) -> bool {
    let Ok(segment) = Segment::parse(bytes) else { return false };
    let state = Replica::from_recording(&segment.head.state, None);
    if let Ok(replica) = &state {
        let mut again = Vec::new();
        replica.record(&mut again);
        assert!(again == segment.head.state, "one state has one form");
    }
    let mut reader = TapeReader::new(&segment.tape);
    while reader.next(|_| ()).is_ok() {}
    state.is_ok() && reader.is_at_end()
}

/// Both blocks, as far as they can be found.
fn repair(bytes: &mut [u8]) {
    let mut at = 12;
    while let Some(head) = bytes.get(at..at + 8) {
        let length = u32::from_le_bytes(head[..4].try_into().expect("four")) as usize;
        let Some(block) = bytes.get_mut(at..(at + 8).saturating_add(length)) else { return };
        if length > 0 {
            quorate_node::recorder::segment::seal(block, SALT);
        }
        at += 8 + length.max(1);
    }
}
