//! What becomes of each datagram between two machines, and the account of all of them.
//!
//! It belongs to the thread: a socket must be such that threads could share it, and so can't hold
//! what they could not. All that a world sends and receives is in one hash, which two runs of one
//! seed must have in common.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use quorate_net::clock::Instant;
use quorate_storage::disk::simulated::Random;

use crate::group::schedule::{MILLIS, Nanos};
use crate::record::hash::TraceHash;
use crate::scenario::distribution::Distribution;
use crate::scenario::model::{Loss, Share};

/// What waits longer than this for its turn on a narrow link is lost.
const QUEUE_NANOS_MAX: Nanos = 100 * MILLIS;
/// How late a datagram is that others overtake.
const LATE_NANOS_MAX: Nanos = 20 * MILLIS;

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
    /// There and back; and how much of one way turmoil sees to.
    pub(super) rtt: Option<(Distribution, Nanos)>,
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
        rtt: None,
        delay: 0,
    };
}

/// What is sent of a datagram.
pub(super) struct Copy {
    pub(super) late: Duration,
    /// Other bytes than those that were to be sent.
    pub(super) instead: Option<Vec<u8>>,
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
    /// No datagram is sent before this one.
    last_sent: Nanos,
    /// Times are bad.
    is_bad: bool,
    /// One of the past.
    old: Option<Vec<u8>>,
}

impl Default for Way {
    fn default() -> Self {
        let quality = Quality::PERFECT;
        Self { quality, busy_until: 0, last_sent: 0, is_bad: false, old: None }
    }
}

/// All ways of a world.
struct Wire {
    random: Random,
    began: Instant,
    /// What the runtime can tell apart.
    grain: Nanos,
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
///
/// - `grain`: what the runtime can tell apart
pub(super) fn lay(seed: u64, machines: &[IpAddr], grain: Nanos) -> Laid {
    WIRE.set(Some(Wire {
        random: Random::stream(seed, "datagrams"),
        began: Instant::now(),
        grain,
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

/// A datagram is sent: these copies of it are to go out.
pub(super) fn send(from: SocketAddr, to: SocketAddr, bytes: &[u8]) -> Vec<Copy> {
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
        u64::try_from(self.began.elapsed().as_nanos()).expect("a run is short")
    }

    fn machine(&self, address: SocketAddr) -> usize {
        self.machines.get(&address.ip()).copied().unwrap_or(usize::MAX)
    }

    fn send(&mut self, from: SocketAddr, to: SocketAddr, bytes: &[u8]) -> Vec<Copy> {
        let (now, ends) = (self.now(), (self.machine(from), self.machine(to)));
        self.counts.sent += 1;
        self.counts.bytes += bytes.len() as u64;
        self.mix(b's', now, ends, bytes);
        let Self { random, counts, ways, grain, .. } = self;
        let way = ways.entry(ends).or_default();
        let Some(at) = way.leaves(now, bytes.len(), random, counts) else {
            counts.lost += 1;
            return Vec::new();
        };
        // To the nearest of the runtime's ticks: its timers would round up.
        let late = |at: Nanos| Duration::from_nanos((at - now + *grain / 2) / *grain * *grain);
        let mut copies = vec![Copy { late: late(at), instead: None }];
        if strikes(random, way.quality.corrupt) {
            counts.damaged += 1;
            let mut damaged = bytes.to_vec();
            let bit = random.index(damaged.len() * 8);
            damaged[bit / 8] ^= 1 << (bit % 8);
            copies[0].instead = Some(damaged);
        }
        if strikes(random, way.quality.duplicate) {
            counts.doubled += 1;
            copies.push(Copy { late: late(at + random.below(LATE_NANOS_MAX)), instead: None });
        }
        if way.quality.replay > Share::NONE {
            if strikes(random, way.quality.replay)
                && let Some(old) = way.old.take()
            {
                counts.replayed += 1;
                copies.push(Copy { late: late(at), instead: Some(old) });
            }
            if way.old.is_none() || random.one_in(100) {
                way.old = Some(bytes.to_vec());
            }
        }
        copies
    }

    /// Takes a datagram into the hash.
    fn mix(&mut self, what: u8, at: Nanos, (from, to): (usize, usize), bytes: &[u8]) {
        self.hash.add_numbers(&[u64::from(what), at, from as u64, to as u64]);
        self.hash.add(bytes);
    }
}

impl Way {
    /// When a datagram is handed to turmoil; `None` where it is lost.
    fn leaves(
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
        if let Some((rtt, seen_to)) = &quality.rtt {
            at += (rtt.draw(random) / 2).saturating_sub(*seen_to);
        }
        at += quality.delay;
        if strikes(random, quality.reorder) {
            counts.late += 1;
            return Some(at + random.below(LATE_NANOS_MAX));
        }
        self.last_sent = self.last_sent.max(at);
        Some(self.last_sent)
    }
}
