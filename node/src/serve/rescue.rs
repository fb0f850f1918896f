//! A start on a damaged log: what a start must read of it is got from the other nodes first.
//!
//! Until the log is whole nobody knows what this node has acknowledged, so there is no engine that
//! could vote or acknowledge anything; only the links are up. Only what is committed is asked for,
//! and that can stand in no other way in any log of the group ([`mend_unopened`]). Where no node
//! gives it, this one waits: it may be the only one that has the entry.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use quorate_core::id::{GroupId, LogIndex, NodeId};
use quorate_core::log::entry::{EntryHeader, LogEnd};
use quorate_core::time;
use quorate_net::clock;
use quorate_net::wire::peer::PeerMessage;
use quorate_net::{Frame, WireError};
use quorate_storage::disk::DiskError;
use quorate_storage::io::Io;
use quorate_storage::log::{self, Home, MendError, good_before, mend_unopened};
use quorate_storage::superblock::Identity;
use tokio::sync::Notify;

use super::ServeError;
use crate::admin::{Phase, Shared};
use crate::driver::{Watch, tell_mended};
use crate::engine::{Encoder, Engine, Mended, Mending, OpenError, Recovered};
use crate::logger::Logger;
use crate::peers::{Inbound, Links, Peers};

/// Other nodes are asked again after this when all were asked in vain: an entry may become committed
/// at any moment.
const REST_NANOS: u64 = 1_000_000_000;

/// So many damaged records are mended in one start. Each attempt to open the log leaves some files
/// open where it fails.
const MENDED_MAX: u32 = 64;

/// What a rescue works with.
pub(super) struct Rescue<'a> {
    pub(super) io: &'a Io,
    pub(super) identity: &'a Identity,
    pub(super) links: &'a Links,
    pub(super) shared: &'a Shared,
    pub(super) logger: Logger,
    pub(super) watch: &'a Option<Box<dyn Watch>>,
}

impl Rescue<'_> {
    /// Opens the engine. Where a record that is read for that is damaged, it is got from another node
    /// first, if there are others.
    pub(super) async fn open(
        &self,
        open: impl Fn() -> Result<(Engine, Recovered), OpenError>,
        peers: Option<&Rc<Peers>>,
    ) -> Result<(Engine, Recovered), ServeError> {
        let mut answers = None;
        for _ in 0..MENDED_MAX {
            let error = match open() {
                Ok(opened) => return Ok(opened),
                Err(error) => error,
            };
            let Some(peers) = peers else { return Err(error.into()) };
            let Some(before) = self.place(&error).map_err(ServeError::Disk)? else {
                return Err(error.into());
            };
            self.shared.metrics.corruptions.add(1);
            self.logger.error("damaged", &error.to_string(), &[]);
            let answers = answers.get_or_insert_with(|| self.answers(peers));
            let mended = tokio::select! {
                biased;
                refusal = peers.doubled() => return Err(ServeError::Doubled(refusal)),
                mended = self.mend(answers, before) => mended.map_err(ServeError::Disk)?,
            };
            if !mended {
                return Err(error.into());
            }
        }
        Ok(open()?)
    }

    /// Where the log is good up to, where it can be mended behind that.
    fn place(&self, error: &OpenError) -> Result<Option<LogEnd>, DiskError> {
        let (OpenError::Log(log::OpenError::Corrupt(corruption))
        | OpenError::Read(log::ReadError::Corrupt(corruption))) = error
        else {
            return Ok(None);
        };
        self.io.block_on(good_before(self.io, &self.home(), corruption))
    }

    /// Asks until a node gives the entry behind `before`, and it is written. Says whether it was:
    /// where not, no entry would help.
    async fn mend(&self, answers: &Answers, before: LogEnd) -> Result<bool, DiskError> {
        let index = before.index.next();
        let waits_for = format!("another node must give entry {index}, which is damaged here");
        self.shared.health.enter(Phase::Starting(waits_for));
        let started = clock::Instant::now();
        let mut mending = Mending::new(REST_NANOS);
        mending.found(before);
        let mut has_failed = false;
        loop {
            let now = instant(started.elapsed());
            self.ask(&mut mending, answers, now);
            let timer = mending.next_timer();
            answers.wait(timer.map(|at| started + Duration::from_nanos(at.nanos()))).await;
            let Some(Answer { from, entry }) = answers.answer.take() else { continue };
            let place = mending.answered(from, index, entry.is_some());
            let (Some(before), Some(entry)) = (place, entry) else { continue };
            let mended = self.write(&mut mending, now, from, before, entry);
            // It is tried again and again, and told once.
            if mended.result.is_ok() || !std::mem::replace(&mut has_failed, true) {
                self.tell(&mended);
            }
            match mended.result {
                Ok(()) => return Ok(true),
                Err(MendError::Truncating) => return Ok(false),
                Err(MendError::Write(error)) => return Err(error),
                Err(MendError::Unfit | MendError::Read(_) | MendError::NotKept) => {}
                Err(MendError::NotSealed) => unreachable!("that is asked of logs that are open"),
            }
        }
    }

    /// Asks a node, if it is time to.
    fn ask(&self, mending: &mut Mending, answers: &Answers, now: time::Instant) {
        let up = answers.up.borrow();
        if let Some((node, index)) = mending.ask(now, up.iter().copied()) {
            answers.asked.set(Some((node, index)));
            self.links.send(answers.encoder.fetch(node, index));
        }
    }

    /// Writes what a node has given. Nothing else is to do, so it may block.
    fn write(
        &self,
        mending: &mut Mending,
        now: time::Instant,
        from: NodeId,
        before: LogEnd,
        (entry, body): (EntryHeader, Vec<u8>),
    ) -> Mended {
        let (io, home) = (self.io.clone(), self.home());
        mending.write(from, async move { mend_unopened(&io, &home, before, entry, body).await });
        let mut context = Context::from_waker(Waker::noop());
        self.io.block_on(std::future::poll_fn(|_| {
            let mended = mending.poll(now, &mut context);
            mended.map_or(Poll::Pending, Poll::Ready)
        }))
    }

    /// Begins to take in what other nodes answer.
    fn answers(&self, peers: &Rc<Peers>) -> Rc<Answers> {
        let answers = Answers::new(self.identity.log.group);
        let inbound: Rc<dyn Inbound> = Rc::clone(&answers) as Rc<dyn Inbound>;
        peers.attach(&inbound);
        peers.start();
        answers
    }

    fn tell(&self, mended: &Mended) {
        tell_mended(&self.shared.metrics, self.logger, &self.identity.members, mended);
        if let Some(watch) = self.watch {
            watch.mended_at_start(mended);
        }
    }

    fn home(&self) -> Home {
        Home { log: self.identity.log, disk: self.identity.disk }
    }
}

fn instant(since_start: Duration) -> time::Instant {
    time::Instant::from_nanos(u64::try_from(since_start.as_nanos()).expect("centuries are enough"))
}

/// What other nodes answer, while there is no driver to take it.
struct Answers {
    encoder: Encoder,
    /// Nodes to which there is a link.
    up: RefCell<BTreeSet<NodeId>>,
    /// Whose answer is waited for, and of which entry.
    asked: Cell<Option<(NodeId, LogIndex)>>,
    answer: Cell<Option<Answer>>,
    news: Notify,
}

struct Answer {
    from: NodeId,
    entry: Option<(EntryHeader, Vec<u8>)>,
}

impl Answers {
    fn new(group: GroupId) -> Rc<Self> {
        Rc::new(Self {
            encoder: Encoder::new(group),
            up: RefCell::default(),
            asked: Cell::default(),
            answer: Cell::default(),
            news: Notify::new(),
        })
    }

    /// Waits for an answer or another link, but not beyond the deadline.
    async fn wait(&self, deadline: Option<clock::Instant>) {
        let news = self.news.notified();
        match deadline {
            // Either way it is looked what there is.
            Some(deadline) => drop(clock::timeout_at(deadline, news).await),
            None => news.await,
        }
    }
}

impl Inbound for Answers {
    fn receive(&self, from: NodeId, frame: &Frame) -> Result<(), WireError> {
        // All else finds out by itself that this node does not listen yet.
        if let PeerMessage::Fetched { index, entry, .. } = self.encoder.decode(frame)?
            && self.asked.get() == Some((from, index))
        {
            self.asked.set(None);
            let entry = entry.map(|(entry, body)| (entry, body.to_vec()));
            self.answer.set(Some(Answer { from, entry }));
            self.news.notify_one();
        }
        Ok(())
    }

    fn peer_up(&self, node: NodeId) {
        self.up.borrow_mut().insert(node);
        self.news.notify_one();
    }

    fn peer_down(&self, node: NodeId) {
        self.up.borrow_mut().remove(&node);
    }
}
