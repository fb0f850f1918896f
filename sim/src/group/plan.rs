//! Which faults a seed has, how often, and in what kind of group.

use std::rc::Rc;

use quorate_storage::disk::simulated::Random;

use super::clock::{Clock, TRUE_RATE};
use super::disk::Pace;
use super::liveness::Broken;
use super::network::{Mood, Quality};
use super::route::Route;
use super::schedule::{MICROS, MILLIS, Nanos};
use super::setup::Setup;

/// What a seed makes of the world. Rates are "one in so many strikes", zero for never; strikes
/// come every few milliseconds.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How long faults last before the group is to show that it works.
    pub(super) chaos: Nanos,
    pub(super) nodes: usize,
    /// What the nodes are founded with and run with.
    pub(super) setup: Rc<Setup>,
    pub(super) clients: usize,
    /// A client waits up to so long between an answer and its next wish.
    pub(super) think_time: Nanos,
    /// A client waits so long for an answer before it takes it for lost.
    pub(super) patience: Nanos,
    pub(super) quality: Quality,
    /// Each direction of the network, where they are not as `quality` has it.
    pub(super) routes: Option<Vec<Route>>,
    pub(super) paces: Vec<Pace>,
    pub(super) clocks: Vec<Clock>,
    /// A node's loop takes up to so long to get to what has come in.
    pub(super) loop_delay: Nanos,
    pub(super) cut: u32,
    /// A cut lasts up to so long.
    pub(super) cut_time: Nanos,
    pub(super) flap: u32,
    pub(super) reset: u32,
    pub(super) delay: u32,
    pub(super) crash: u32,
    pub(super) power_loss: u32,
    pub(super) power_loss_of_all: u32,
    /// One in so many starts.
    pub(super) loss_in_recovery: u32,
    pub(super) stall: u32,
    pub(super) failed_write: u32,
    pub(super) failed_sync: u32,
    pub(super) full_disk: u32,
    /// Bits flip in what a log has written; they are put right when the faults end.
    pub(super) rot: u32,
    pub(super) pause: u32,
    pub(super) wall_jump: u32,
    pub(super) drift: u32,
    /// One in so many calls of a client asks for another leader.
    pub(super) transfer: u32,
    /// One in so many answers is lost.
    pub(super) lost_answer: u32,
    /// After the faults the leader stays broken so, and nothing is written; else it is drawn who
    /// stays broken, and how.
    pub(super) leader_stays: Option<Broken>,
    /// After the faults all nodes are healthy at once, and not only a majority.
    pub(super) spares_all: bool,
}

impl Plan {
    /// The plan of this seed.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        let mut random = Random::stream(seed, "group plan");
        let nodes = if random.one_in(6) { 5 } else { 3 };
        let mut plan = Self::calm(nodes, &mut random);
        let mut rate = |rates: [u32; 2]| if random.coin() { *random.pick(&rates) } else { 0 };
        plan.cut = rate([15, 60]);
        plan.flap = rate([100, 200]);
        plan.reset = rate([30, 100]);
        plan.delay = rate([40, 120]);
        plan.crash = rate([40, 150]);
        plan.power_loss = rate([60, 200]);
        plan.power_loss_of_all = rate([150, 300]);
        plan.loss_in_recovery = rate([3, 6]);
        plan.stall = rate([50, 150]);
        plan.failed_write = rate([100, 200]);
        plan.failed_sync = rate([100, 200]);
        plan.full_disk = rate([100, 200]);
        plan.pause = rate([50, 150]);
        plan.wall_jump = rate([50, 150]);
        plan.drift = rate([50, 150]);
        plan.transfer = rate([30, 100]);
        plan.lost_answer = rate([5, 30]);
        plan.cut_time = *random.pick(&[60 * MILLIS, 300 * MILLIS, 900 * MILLIS]);
        if plan.quality.mood == Mood::Packets {
            plan.quality.lost = *random.pick(&[0, 4, 20]);
            plan.quality.doubled = *random.pick(&[0, 3, 20]);
            plan.quality.reordered = *random.pick(&[0, 5, 30]);
            plan.quality.replayed = *random.pick(&[0, 4, 20]);
        } else {
            plan.quality.lost = *random.pick(&[0, 10, 50]);
        }
        plan.rot = if random.one_in(4) { *random.pick(&[40, 150]) } else { 0 };
        plan
    }

    /// The plan of this seed for a deliberate break. One in four is a large group in the worst of
    /// networks, where old and doubled messages are common; one in four is a group whose nodes are
    /// often paused, and wake up with what has come in meanwhile; and one in four is a quiet group
    /// whose leader is deaf or has lost a link.
    #[must_use]
    pub fn hostile(seed: u64) -> Self {
        let mut random = Random::stream(seed, "hostile plan");
        match seed % 4 {
            1 => {
                let mut plan = Self::calm(5, &mut random);
                plan.quality.mood = Mood::Packets;
                plan.quality.lost = 10;
                plan.quality.doubled = 4;
                plan.quality.reordered = 4;
                plan.quality.replayed = 2;
                (plan.cut, plan.cut_time) = (12, 300 * MILLIS);
                (plan.crash, plan.power_loss, plan.pause) = (40, 60, 60);
                (plan.transfer, plan.think_time) = (30, 4 * MILLIS);
                plan
            }
            2 => {
                let mut plan = Self::calm(3, &mut random);
                (plan.clients, plan.think_time) = (6, 4 * MILLIS);
                (plan.pause, plan.cut, plan.cut_time) = (8, 12, 300 * MILLIS);
                (plan.chaos, plan.patience) = (1_400 * MILLIS, 80 * MILLIS);
                plan
            }
            3 => {
                let mut plan = Self::calm(3, &mut random);
                plan.quality.mood = Mood::Packets;
                plan.chaos = 500 * MILLIS;
                plan.spares_all = false;
                plan.leader_stays = Some(*random.pick(&[Broken::Deaf, Broken::OneLink]));
                plan
            }
            _ => Self::of(seed),
        }
    }

    /// A group without faults.
    pub(super) fn calm(nodes: usize, random: &mut Random) -> Self {
        let mood = if random.one_in(3) { Mood::Packets } else { Mood::Streams };
        let quality = Quality {
            mood,
            latency: *random.pick(&[20 * MICROS, 150 * MICROS, MILLIS]),
            jitter: *random.pick(&[20 * MICROS, 300 * MICROS, 2 * MILLIS]),
            lost: 0,
            doubled: 0,
            reordered: 0,
            replayed: 0,
            idle_timeout: *random.pick(&[80 * MILLIS, 250 * MILLIS, 800 * MILLIS]),
        };
        let mut pace = || {
            let base = *random.pick(&[20 * MICROS, 60 * MICROS, 300 * MICROS]);
            Pace::of(base, base * 3)
        };
        let paces = (0..nodes).map(|_| pace()).collect();
        let mut clock = || Clock::new(TRUE_RATE - 20_000 + random.below(40_001));
        let clocks = (0..nodes).map(|_| clock()).collect();
        let wanted_zones = if random.one_in(4) { 1 + random.index(2) } else { 0 };
        Self {
            chaos: *random.pick(&[700 * MILLIS, 1_400 * MILLIS]),
            nodes,
            setup: Rc::new(Setup::tiny(nodes, wanted_zones)),
            clients: 3 + random.index(4),
            think_time: *random.pick(&[8 * MILLIS, 25 * MILLIS, 60 * MILLIS]),
            patience: *random.pick(&[80 * MILLIS, 200 * MILLIS, 400 * MILLIS]),
            quality,
            routes: None,
            paces,
            clocks,
            loop_delay: *random.pick(&[5 * MICROS, 50 * MICROS, MILLIS]),
            cut: 0,
            cut_time: 300 * MILLIS,
            flap: 0,
            reset: 0,
            delay: 0,
            crash: 0,
            power_loss: 0,
            power_loss_of_all: 0,
            loss_in_recovery: 0,
            stall: 0,
            failed_write: 0,
            failed_sync: 0,
            full_disk: 0,
            rot: 0,
            pause: 0,
            wall_jump: 0,
            drift: 0,
            transfer: 0,
            lost_answer: 0,
            leader_stays: None,
            spares_all: random.one_in(4),
        }
    }

    /// The group of this seed without faults: there a leader stays.
    #[must_use]
    pub fn without_faults(seed: u64) -> Self {
        let mut random = Random::stream(seed, "group plan");
        let nodes = if random.one_in(6) { 5 } else { 3 };
        Self::calm(nodes, &mut random)
    }
}
