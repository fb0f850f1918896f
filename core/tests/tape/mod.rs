//! What is recorded of a replica, and what is made of that again.

use quorate_core::effect::Effect;
use quorate_core::recording::{Step, TapeReader, TapeWriter, Witness};
use quorate_core::time::Now;
use quorate_core::{Effects, Input, Replica};

/// A replica's state.
pub(crate) fn state(replica: &Replica) -> Vec<u8> {
    let mut bytes = Vec::new();
    replica.record(&mut bytes);
    bytes
}

/// An input, as it stands on tape.
pub(crate) fn taped(now: Now, input: &Input<'_>) -> Vec<u8> {
    let mut tape = Vec::new();
    TapeWriter::default().input(now, input, &mut tape);
    let mut reader = TapeReader::new(&tape);
    let again = reader.next(|step| match step {
        Step::Input(then, same) => {
            assert_eq!(format!("{now:?} {input:?}"), format!("{then:?} {same:?}"));
            let mut tape = Vec::new();
            TapeWriter::default().input(then, &same, &mut tape);
            tape
        }
        Step::Digest(_) => panic!("no digest was written"),
    });
    assert_eq!(again.as_ref(), Ok(&tape));
    assert!(reader.is_at_end());
    tape
}

/// A replica that was made again from its recorded state, and stepped from tape.
pub(crate) struct Twin {
    replica: Replica,
    effects: Vec<Effect>,
}

impl Twin {
    /// - `before`: the replica before the step
    pub(crate) fn step(before: &Replica, now: Now, input: &Input<'_>) -> Self {
        let bytes = state(before);
        let mut replica = Replica::from_recording(&bytes, None).expect("it was just written");
        assert_eq!(state(&replica), bytes);
        assert_eq!(replica.digest(), before.digest());
        let tape = taped(now, input);
        let mut effects = Effects::new();
        let stepped = TapeReader::new(&tape).next(|step| match step {
            Step::Input(now, input) => replica.step(now, input, &mut effects),
            Step::Digest(_) => panic!("no digest was written"),
        });
        stepped.expect("it was just written");
        Self { replica, effects: effects.drain().collect() }
    }

    /// Compares it with the replica behind the step.
    pub(crate) fn check(&self, after: &Replica, effects: &[Effect]) {
        assert_eq!(self.effects, effects);
        assert_eq!(self.replica.digest(), after.digest());
        assert_eq!(state(&self.replica), state(after));
        let mut witness = Witness::default();
        witness.saw(effects);
        assert_eq!(witness.digest(&self.replica), witness.digest(after));
        self.replica.check();
    }
}
