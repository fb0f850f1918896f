//! QUIC's tasks and timers, in the world's time.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use quinn::{AsyncTimer, AsyncUdpSocket, Runtime};
use quorate_net::clock;
use tokio::time::Sleep;

use super::moment::timed;

/// What quinn runs in on one machine, from the start of a process on.
#[derive(Clone, Copy, Debug)]
pub(super) struct WorldRuntime {
    /// The runtime's time then,
    began: tokio::time::Instant,
    /// and the world's.
    world_began: Instant,
    dilation: u32,
    spawn: fn(Task),
}

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

impl WorldRuntime {
    /// On the machine whose turn it is.
    pub(super) fn start(dilation: u32) -> Arc<Self> {
        Self::spawning(dilation, |task| drop(tokio::spawn(timed(task))))
    }

    /// The same where all who ask something of QUIC are tasks of one set: then QUIC's are, too.
    pub(super) fn start_within_set(dilation: u32) -> Arc<Self> {
        Self::spawning(dilation, |task| drop(tokio::task::spawn_local(task)))
    }

    fn spawning(dilation: u32, spawn: fn(Task)) -> Arc<Self> {
        let (began, world_began) = (tokio::time::Instant::now(), clock::Instant::now().into_std());
        Arc::new(Self { began, world_began, dilation, spawn })
    }

    /// When the runtime's clock shows what is this moment to the world.
    fn in_the_runtime(&self, moment: Instant) -> tokio::time::Instant {
        self.began + moment.saturating_duration_since(self.world_began) * self.dilation
    }
}

impl Runtime for WorldRuntime {
    fn new_timer(&self, moment: Instant) -> Pin<Box<dyn AsyncTimer>> {
        let timer = Box::pin(tokio::time::sleep_until(self.in_the_runtime(moment)));
        Box::pin(Timer { timer, runtime: *self })
    }

    fn spawn(&self, future: Task) {
        (self.spawn)(future);
    }

    fn wrap_udp_socket(&self, _: std::net::UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn now(&self) -> Instant {
        // QUIC asks even where its last connections end with their machine, and none runs any more.
        clock::Instant::now().into_std()
    }
}

#[derive(Debug)]
struct Timer {
    timer: Pin<Box<Sleep>>,
    runtime: WorldRuntime,
}

impl AsyncTimer for Timer {
    fn reset(mut self: Pin<&mut Self>, moment: Instant) {
        let deadline = self.runtime.in_the_runtime(moment);
        self.timer.as_mut().reset(deadline);
    }

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        Future::poll(self.timer.as_mut(), context)
    }
}
