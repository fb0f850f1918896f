//! What time it is on the machine that runs, in the runtime's time.
//!
//! turmoil looks its machine up each time that it is asked. While a task is polled its clock stands
//! still, so it is enough to ask once for each poll ([`timed`]). Where no machine runs there is no
//! such time, and nobody may be asked: tokio's clock would be the operating system's there, and
//! turmoil's is made of it.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::time::Duration;

use tokio::runtime::Handle;

thread_local! {
    static KNOWN: Cell<Option<Duration>> = const { Cell::new(None) };
}

/// The time since the world began; `None` where no machine runs.
pub(super) fn elapsed() -> Option<Duration> {
    KNOWN.get().or_else(look_up)
}

fn look_up() -> Option<Duration> {
    Handle::try_current().ok().and_then(|_running| turmoil::sim_elapsed())
}

/// Asks for the time once each time that this is polled, for all that happens in it.
pub(super) async fn timed<T>(process: impl Future<Output = T>) -> T {
    let mut process = pin!(process);
    poll_fn(|context| {
        let _known = Known::now();
        process.as_mut().poll(context)
    })
    .await
}

/// The time is known as long as this lives.
struct Known;

impl Known {
    fn now() -> Self {
        KNOWN.set(look_up());
        Self
    }
}

impl Drop for Known {
    fn drop(&mut self) {
        KNOWN.set(None);
    }
}
