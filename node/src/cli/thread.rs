//! Work that may block (a pager that is not scrolled, a slow file) beside a runtime of one thread,
//! which goes on keeping its connections alive meanwhile.

use std::thread;

use tokio::sync::oneshot;

/// Does `work` on a thread of its own and gives its result.
///
/// A thread for each piece of work: pieces are large and rare, and one that never ends (a pipe that
/// nobody writes to) holds nothing else up. Dropping the future leaves the thread to itself.
pub(crate) async fn beside<T, F>(work: F) -> T
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    let (sender, receiver) = oneshot::channel();
    thread::spawn(move || {
        // Nobody listens where the future was dropped.
        let _ = sender.send(work());
    });
    receiver.await.expect("the work does not panic")
}
