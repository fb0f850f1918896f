//! What becomes of each datagram between two machines, and the account of all of them.
//!
//! turmoil carries them, and keeps each until the world says that it is due: when that is stands
//! behind its bytes while it is under way. All the rest belongs to the thread: a socket must be such
//! that threads could share it, and so can't hold what they could not. All that a world sends and
//! receives is in one hash, which two runs of one seed must have in common.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use quorate_storage::disk::simulated::Random;
use turmoil::{Protocol, Sim};

use super::system::System;
use crate::group::schedule::{MILLIS, Nanos};
use crate::record::hash::TraceHash;
use crate::scenario::distribution::Distribution;
use crate::scenario::model::{Loss, Share};

/// What waits longer than this for its turn on a narrow link is lost.
const QUEUE_NANOS_MAX: Nanos = 100 * MILLIS;
/// How late a datagram is that others overtake.
const LATE_NANOS_MAX: Nanos = 20 * MILLIS;
/// What turmoil is told that each link takes, so that nothing arrives before the world says so.
pub(super) const LINK_LATENCY: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
/// Behind a datagram's bytes, when it is due.
const DUE_BYTES: usize = size_of::<Nanos>();

/// How good the way from one machine to another is.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Quality {
    pub(super) loss: Loss,
    /// Lost on top.
    pub(super) worse: Share,
    pub(super) duplicate: Share,
    pub(super) reorder: Share,
    /// A bit of it flips.
    pub(super) corrupt: Share,
    /// An old datagram comes again.
    pub(super) replay: Share,
    /// Bits a second, where there is a bound.
    pub(super) bandwidth: Option<u64>,
    /// There and back.
    pub(super) rtt: Distribution,
    /// Later by so much.
    pub(super) delay: Nanos,
}

impl Quality {
    pub(super) const PERFECT: Self = Self {
        loss: Loss::Even(Share::NONE),
        worse: Share::NONE,
        duplicate: Share::NONE,
        reorder: Share::NONE,
        corrupt: Share::NONE,
        replay: Share::NONE,
        bandwidth: None,
        rtt: Distribution::Constant(0),
        delay: 0,
    };
}

/// What is sent of a datagram: its bytes, damaged or not, or those of an older one, and behind them
/// when it is due.
pub(super) struct Parcel(Vec<u8>);

impl Parcel {
    fn new(bytes: &[u8], due: Nanos) -> Self {
        Self([bytes, &due.to_le_bytes()].concat())
    }

    /// As turmoil carries it.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// How long the datagram is within it.
    pub(super) fn datagram_bytes(length: usize) -> usize {
        length - DUE_BYTES
    }

    fn due(bytes: &[u8]) -> Nanos {
        let due = bytes.last_chunk().expect("every datagram says when it is due");
        Nanos::from_le_bytes(*due)
    }
}

/// How many datagrams met which fate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) sent: u64,
    pub(super) bytes: u64,
    pub(super) received: u64,
    pub(super) lost: u64,
    pub(super) doubled: u64,
    pub(super) late: u64,
    pub(super) damaged: u64,
    pub(super) replayed: u64,
}

/// The way from one machine to another.
struct Way {
    quality: Quality,
    /// When the last datagram will have been sent.
    busy_until: Nanos,
    /// No datagram arrives before this one.
    last_arrival: Nanos,
    /// Times are bad.
    is_bad: bool,
    /// One of the past.
    old: Option<Vec<u8>>,
}

impl Default for Way {
    fn default() -> Self {
        let quality = Quality::PERFECT;
        Self { quality, busy_until: 0, last_arrival: 0, is_bad: false, old: None }
    }
}

/// All ways of a world.
struct Wire {
    random: Random,
    system: Rc<System>,
    /// When datagrams are due that are under way.
    due: BTreeSet<Nanos>,
    machines: BTreeMap<IpAddr, usize>,
    ways: BTreeMap<(usize, usize), Way>,
    hash: TraceHash,
    counts: Counts,
}

thread_local! {
    static WIRE: RefCell<Option<Wire>> = const { RefCell::new(None) };
}

/// The thread's network, while it lives.
pub(super) struct Laid;

impl Drop for Laid {
    fn drop(&mut self) {
        WIRE.set(None);
    }
}

/// Lays the wires between these machines.
pub(super) fn lay(seed: u64, machines: &[IpAddr], system: &Rc<System>) -> Laid {
    WIRE.set(Some(Wire {
        random: Random::stream(seed, "datagrams"),
        system: Rc::clone(system),
        due: BTreeSet::new(),
        machines: machines.iter().copied().zip(0..).collect(),
        ways: BTreeMap::new(),
        hash: TraceHash::default(),
        counts: Counts::default(),
    }));
    Laid
}

/// The way from one machine to another is like this from now on.
pub(super) fn set_quality(from: usize, to: usize, quality: Quality) {
    with(|wire| wire.ways.entry((from, to)).or_default().quality = quality);
}

/// What all that went over the wires hashes to.
pub(super) fn hash() -> String {
    with(|wire| wire.hash.text())
}

/// What became of the datagrams.
pub(super) fn counts() -> Counts {
    with(|wire| wire.counts)
}

/// Takes something else into the account of what happened.
pub(super) fn note(bytes: &[u8]) {
    with(|wire| {
        let now = wire.now();
        wire.mix(b'n', now, (0, 0), bytes);
    });
}

/// When the next datagram is due.
pub(super) fn next_due() -> Option<Nanos> {
    with(|wire| wire.due.first().copied())
}

/// Has turmoil hand over those that are due by now, when it steps next.
pub(super) fn deliver(sim: &Sim<'_>, now: Nanos) {
    let is_any_due = with(|wire| {
        let later = wire.due.split_off(&(now + 1));
        !std::mem::replace(&mut wire.due, later).is_empty()
    });
    if !is_any_due {
        return;
    }
    sim.links(|links| {
        for sent in links.flatten() {
            if let Protocol::Udp(datagram) = sent.protocol()
                && Parcel::due(&datagram.0) <= now
            {
                sent.deliver();
            }
        }
    });
}

/// A datagram is sent: these copies of it are to go out.
pub(super) fn send(from: SocketAddr, to: SocketAddr, bytes: &[u8]) -> Vec<Parcel> {
    with(|wire| wire.send(from, to, bytes))
}

/// A datagram has come.
pub(super) fn received(from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
    with(|wire| {
        let now = wire.now();
        wire.counts.received += 1;
        wire.mix(b'r', now, (wire.machine(from), wire.machine(to)), bytes);
    });
}

fn with<T>(act: impl FnOnce(&mut Wire) -> T) -> T {
    WIRE.with_borrow_mut(|wire| act(wire.as_mut().expect("the world has a network")))
}

fn strikes(random: &mut Random, share: Share) -> bool {
    share > Share::NONE && random.below(u64::from(Share::ALL.0)) < u64::from(share.0)
}

impl Wire {
    fn now(&self) -> Nanos {
        self.system.now()
    }

    fn machine(&self, address: SocketAddr) -> usize {
        self.machines.get(&address.ip()).copied().unwrap_or(usize::MAX)
    }

    fn send(&mut self, from: SocketAddr, to: SocketAddr, bytes: &[u8]) -> Vec<Parcel> {
        let (now, ends) = (self.now(), (self.machine(from), self.machine(to)));
        self.counts.sent += 1;
        self.counts.bytes += bytes.len() as u64;
        self.mix(b's', now, ends, bytes);
        let Self { random, counts, ways, system, due, .. } = self;
        let way = ways.entry(ends).or_default();
        let Some(at) = way.arrives(now, bytes.len(), random, counts) else {
            counts.lost += 1;
            return Vec::new();
        };
        let mut parcel = |bytes: &[u8], at: Nanos| {
            let at = system.nearest(at);
            due.insert(at);
            Parcel::new(bytes, at)
        };
        let damaged = strikes(random, way.quality.corrupt).then(|| {
            counts.damaged += 1;
            let mut damaged = bytes.to_vec();
            let bit = random.index(damaged.len() * 8);
            damaged[bit / 8] ^= 1 << (bit % 8);
            damaged
        });
        let mut parcels = vec![parcel(damaged.as_deref().unwrap_or(bytes), at)];
        if strikes(random, way.quality.duplicate) {
            counts.doubled += 1;
            parcels.push(parcel(bytes, at + random.below(LATE_NANOS_MAX)));
        }
        if way.quality.replay > Share::NONE {
            if strikes(random, way.quality.replay)
                && let Some(old) = way.old.take()
            {
                counts.replayed += 1;
                parcels.push(parcel(&old, at));
            }
            if way.old.is_none() || random.one_in(100) {
                way.old = Some(bytes.to_vec());
            }
        }
        parcels
    }

    /// Takes a datagram into the hash.
    fn mix(&mut self, what: u8, at: Nanos, (from, to): (usize, usize), bytes: &[u8]) {
        self.hash.add_numbers(&[u64::from(what), at, from as u64, to as u64]);
        self.hash.add(bytes);
    }
}

impl Way {
    /// When a datagram arrives; `None` where it is lost.
    fn arrives(
        &mut self,
        now: Nanos,
        bytes: usize,
        random: &mut Random,
        counts: &mut Counts,
    ) -> Option<Nanos> {
        let quality = &self.quality;
        let loss = match quality.loss {
            Loss::Even(share) => share,
            Loss::Bursts { good, bad, to_bad, to_good } => {
                let turns = if self.is_bad { to_good } else { to_bad };
                self.is_bad ^= strikes(random, turns);
                if self.is_bad { bad } else { good }
            }
        };
        if strikes(random, loss) | strikes(random, quality.worse) {
            return None;
        }
        let mut at = now;
        if let Some(bits) = quality.bandwidth {
            let takes = bytes as u128 * 8_000_000_000 / u128::from(bits.max(1));
            let takes = Nanos::try_from(takes).unwrap_or(Nanos::MAX / 2);
            self.busy_until = self.busy_until.max(now).saturating_add(takes);
            at = self.busy_until;
            if at > now + QUEUE_NANOS_MAX {
                self.busy_until = now + QUEUE_NANOS_MAX;
                return None;
            }
        }
        at += quality.rtt.draw(random) / 2 + quality.delay;
        if strikes(random, quality.reorder) {
            counts.late += 1;
            return Some(at + random.below(LATE_NANOS_MAX));
        }
        self.last_arrival = self.last_arrival.max(at);
        Some(self.last_arrival)
    }
}
