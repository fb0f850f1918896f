//! Keeping a link up: dial, run the session until it is lost, dial again.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use quinn::SendStream;
use quorate_net::FrameReceiver;
use quorate_net::clock::{Instant, sleep};

use crate::connect::{Established, ended};
use crate::error::ConnectError;
use crate::session::{DONE, Refused, Session};

const BACKOFF_MIN: Duration = Duration::from_millis(10);
const BACKOFF_MAX: Duration = Duration::from_secs(1);
/// An outgoing buffer that has grown beyond this is not kept.
const OUT_BYTES_KEPT: usize = 1 << 20;

/// A session that was opened before its task, and what came of it.
type First = (Established, Result<(), Refused>);

/// Keeps a link up until the client is closed or another link leads to the same node.
pub(crate) async fn keep(session: Arc<Session>, link: usize, first: Option<First>) {
    let mut opened = first;
    let mut backoff = BACKOFF_MIN;
    loop {
        match opened.take() {
            Some((established, Ok(()))) => {
                session.start_links();
                let connection = established.connection.clone();
                let error = run(&session, link, established).await;
                // Whatever the session died of, streams beside it must not outlive it.
                connection.close(DONE, b"session ended");
                session.lost(link, error);
                backoff = BACKOFF_MIN;
            }
            Some((established, Err(refused))) => {
                established.connection.close(DONE, b"of no use");
                if let Refused::OtherLog(error) = refused {
                    session.lost(link, error);
                }
                sleep(backoff).await;
                backoff = (backoff * 2).min(BACKOFF_MAX);
            }
            None => {}
        }
        if !poll_fn(|cx| session.poll_wanted(link, cx)).await {
            session.dialer.endpoint().wait_idle().await;
            return;
        }
        let (address, learned) = {
            let state = session.lock();
            let link = &state.links.all[link];
            (link.address.clone(), link.learned)
        };
        match session.dialer.dial(&address, learned).await {
            Ok(established) => {
                let result = session.opened(link, &established);
                opened = Some((established, result));
            }
            Err(error) => {
                session.lost(link, error);
                sleep(backoff).await;
                backoff = (backoff * 2).min(BACKOFF_MAX);
            }
        }
    }
}

/// Runs one session until it is lost.
async fn run(session: &Arc<Session>, link: usize, established: Established) -> ConnectError {
    let Established { send, receiver, connection, .. } = established;
    tokio::select! {
        biased;
        error = read(session, link, receiver) => error,
        () = write(session, link, send) => match connection.close_reason() {
            Some(reason) => quorate_net::ConnectError::from(reason).into(),
            None => ended("it stopped the stream"),
        },
    }
}

/// Hands requests to QUIC, as many at once as have gathered.
async fn write(session: &Session, link: usize, mut send: SendStream) {
    let mut buffer = Vec::new();
    while poll_fn(|cx| session.poll_take(link, cx, &mut buffer)).await {
        if send.write_all(&buffer).await.is_err() {
            return; // The connection says why.
        }
        buffer.clear();
        buffer.shrink_to(OUT_BYTES_KEPT);
    }
}

/// Takes answers in, as many at once as have come.
async fn read(session: &Arc<Session>, link: usize, mut receiver: FrameReceiver) -> ConnectError {
    let mut woken = Vec::new();
    loop {
        let mut next = match receiver.next().await {
            Ok(Some(frame)) => Some(frame),
            Ok(None) => return ended("it finished the stream"),
            Err(error) => return error.into(),
        };
        let mut state = session.lock();
        let earliest = state.calls.next_time();
        let links = state.links.all.len();
        let heard = &mut state.links.all[link];
        (heard.heard, heard.asked) = (Instant::now(), None);
        let mut outcome = Ok(());
        while let (Ok(()), Some(frame)) = (&outcome, next.take()) {
            outcome = state.take_in(link, &frame).and_then(|()| {
                next = receiver.ready()?;
                Ok(())
            });
        }
        state.calls.take_woken(&mut woken);
        woken.append(&mut state.woken);
        if state.calls.next_time() != earliest {
            woken.extend(state.timer.take());
        }
        let grown = state.links.all.len() != links;
        drop(state);
        woken.drain(..).for_each(Waker::wake);
        if grown {
            session.start_links();
        }
        if let Err(error) = outcome {
            return error;
        }
    }
}
