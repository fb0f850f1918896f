//! Ctrl-C and SIGTERM as something to wait for, so that a command ends in order.

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::failure::Failure;

/// Listens from the moment it is made.
pub(crate) struct Interrupt {
    interrupt: Signal,
    terminate: Signal,
}

impl Interrupt {
    /// Needs a runtime.
    ///
    /// # Errors
    ///
    /// Where the system refuses the handlers.
    pub(crate) fn listen() -> Result<Self, Failure> {
        let handler = |kind| {
            signal(kind).map_err(|error| Failure::failed(format!("can't handle signals: {error}")))
        };
        Ok(Self {
            interrupt: handler(SignalKind::interrupt())?,
            terminate: handler(SignalKind::terminate())?,
        })
    }

    /// Waits until the user, or the system, wants this process to stop.
    pub(crate) async fn requested(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
