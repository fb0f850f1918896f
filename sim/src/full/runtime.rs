//! QUIC's tasks and timers, in the world's time.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use quinn::{AsyncTimer, AsyncUdpSocket, Runtime};
use quorate_net::clock::{self, Sleep, sleep_until};

/// What quinn runs in on one machine.
#[derive(Debug)]
pub(super) struct WorldRuntime(fn(Task));

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

impl WorldRuntime {
    /// On the machine whose turn it is.
    pub(super) fn start() -> Arc<Self> {
        Arc::new(Self(|task| drop(tokio::spawn(task))))
    }

    /// The same where all who ask something of QUIC are tasks of one set: then QUIC's are, too.
    pub(super) fn start_within_set() -> Arc<Self> {
        Arc::new(Self(|task| drop(tokio::task::spawn_local(task))))
    }
}

impl Runtime for WorldRuntime {
    fn new_timer(&self, moment: Instant) -> Pin<Box<dyn AsyncTimer>> {
        Box::pin(Timer(Box::pin(sleep_until(clock::Instant::from_std(moment)))))
    }

    fn spawn(&self, future: Task) {
        (self.0)(future);
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
struct Timer(Pin<Box<Sleep>>);

impl AsyncTimer for Timer {
    fn reset(mut self: Pin<&mut Self>, moment: Instant) {
        self.0.as_mut().reset(clock::Instant::from_std(moment));
    }

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().poll(context)
    }
}
