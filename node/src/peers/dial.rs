//! How nodes find each other: every address is dialled until it is known who is there, and then by
//! one of the two only.

use std::rc::Rc;
use std::time::Duration;

use quorate_core::member::{MEMBERS_MAX, Name};
use quorate_net::clock::{Instant, sleep, timeout};
use quorate_net::environment;
use quorate_net::{ConnectError, PeerConnector};

use super::Peers;
use super::conversation::Ended;
use super::link::CLOSE_SECOND;
use crate::config::host_of;

/// Addresses that are dialled at once: each node by the name that people gave, and by its own.
const TARGETS_MAX: usize = 2 * MEMBERS_MAX;
/// A node that is there answers sooner; one that is not may be there soon.
const DIAL_PATIENCE: Duration = Duration::from_secs(1);
/// The pause after the first attempt in vain; it doubles with each.
const PAUSE_FIRST: Duration = Duration::from_millis(50);
/// It grows no longer.
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// The pause where the other node was there, but it is no use to ask it again soon: not before
/// somebody else may be there.
const PAUSE_REFUSED: Duration = Duration::from_secs(5);
/// Another node may have this node's old address one day.
const PAUSE_ONESELF: Duration = Duration::from_secs(60);

impl Peers {
    /// Dials an address from now on. Somebody has shown signs of life: all that are waited for are
    /// dialled at once.
    ///
    /// - `name`: who is there, where that is known
    pub(super) fn add_target(self: &Rc<Self>, address: &str, name: Option<Name>) {
        self.nudge.notify_waiters();
        let mut targets = self.targets.borrow_mut();
        if targets.len() < TARGETS_MAX && targets.insert(address.to_owned()) {
            let (peers, address) = (Rc::clone(self), address.to_owned());
            tokio::task::spawn_local(async move { peers.dial_for_ever(&address, name).await });
        }
    }

    async fn dial_for_ever(self: &Rc<Self>, address: &str, name: Option<Name>) {
        let mut known = name;
        let mut pause = PAUSE_FIRST;
        loop {
            if let Some(name) = known {
                self.until_silent(name).await;
            }
            let begun = Instant::now();
            let ended = self.dial(address, &mut known).await;
            if ended == Ended::Linked && begun.elapsed() > PAUSE_MAX {
                pause = PAUSE_FIRST;
            }
            match ended {
                Ended::Again => pause = PAUSE_FIRST,
                Ended::Lost | Ended::Linked => {
                    self.rest(pause).await;
                    pause = PAUSE_MAX.min(pause * 2);
                }
                Ended::NotOurs => sleep(PAUSE_MAX).await,
                Ended::Refused => self.rest(PAUSE_REFUSED).await,
                Ended::Oneself => sleep(PAUSE_ONESELF).await,
            }
        }
    }

    /// Waits for so long, or until somebody shows signs of life.
    async fn rest(&self, pause: Duration) {
        tokio::select! {
            biased;
            () = sleep(pause) => {}
            () = self.nudge.notified() => {}
        }
    }

    /// Dials once, and speaks with whoever is there for as long as the connection lasts.
    async fn dial(self: &Rc<Self>, address: &str, known: &mut Option<Name>) -> Ended {
        let (connection, peer) = match self.connect(address).await {
            Ok(connected) => connected,
            Err(error) => {
                self.dialled_in_vain(address, &error);
                return Ended::Lost;
            }
        };
        self.roster.borrow_mut().praise(address);
        *known = Some(peer);
        if self.is_talking(peer) {
            // It is the one at another address, too.
            connection.close(CLOSE_SECOND, b"there is a connection already");
            return Ended::NotOurs;
        }
        self.converse(connection, peer, Some(address)).await
    }

    async fn connect(&self, address: &str) -> Result<(quinn::Connection, Name), DialError> {
        // The name may lead elsewhere by now.
        let port = address.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
        let port = port.ok_or(DialError::Nowhere)?;
        let found = environment::resolve(host_of(address), port).await;
        let found = found.map_err(DialError::Resolve)?;
        let connector: &PeerConnector = &self.connector;
        let mut failed = DialError::Nowhere;
        for remote in found {
            let connecting = connector.connect(&self.endpoint, remote, host_of(address));
            match timeout(DIAL_PATIENCE, connecting).await {
                Ok(Ok((connection, peer))) => return Ok((connection, peer.node)),
                Ok(Err(error)) => failed = error.into(),
                Err(_elapsed) => failed = DialError::Silent,
            }
        }
        Err(failed)
    }

    fn dialled_in_vain(&self, address: &str, error: &DialError) {
        let text = error.to_string();
        let fields: crate::logger::Fields<'_> = &[("address", &address), ("reason", &text)];
        if let DialError::Connect(ConnectError::Trust(_)) = error {
            if self.complain(address, &text) {
                self.logger.warn("not-trusted", "a node can't be trusted", fields);
            }
        } else {
            self.logger.debug("unreachable", "a node can't be reached", fields);
        }
    }
}

/// Why nobody was reached at an address.
#[derive(Debug, thiserror::Error)]
enum DialError {
    #[error("its name can't be resolved: {0}")]
    Resolve(std::io::Error),
    #[error("its name leads nowhere")]
    Nowhere,
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error("it does not answer")]
    Silent,
}
