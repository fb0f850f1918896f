//! A change under way.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use quorate_core::request::{Appended, Rejection};
use quorate_net::wire::{CallId, ErrorCode};

use crate::calls::Answer;
use crate::client::Handle;
use crate::error::{AppendError, ConnectError, UnknownReason};
use crate::session::is_refusal;

/// An append, delete or tombstone that was sent: resolves to where it stands.
#[must_use = "only its result tells whether it was written"]
pub struct PendingAppend(State);

enum State {
    /// It was not even sent.
    Failed(Box<AppendError>),
    Sent {
        handle: Arc<Handle>,
        call: CallId,
    },
    Over,
}

impl PendingAppend {
    pub(crate) fn failed(error: AppendError) -> Self {
        Self(State::Failed(Box::new(error)))
    }

    pub(crate) fn new(handle: Arc<Handle>, call: CallId) -> Self {
        Self(State::Sent { handle, call })
    }

    /// The answer as it came, for a call that is no change.
    pub(crate) async fn answer(mut self) -> Answer {
        poll_fn(|cx| match &self.0 {
            State::Sent { handle, call } => {
                let answer = ready!(handle.session.poll_answer(*call, cx));
                self.0 = State::Over;
                Poll::Ready(answer)
            }
            State::Failed(_) | State::Over => unreachable!("a call is sent and awaited once"),
        })
        .await
    }
}

impl Future for PendingAppend {
    type Output = Result<Appended, AppendError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let result = match &self.0 {
            State::Sent { handle, call } => {
                let answer = ready!(handle.session.poll_answer(*call, cx));
                conclude(handle, answer)
            }
            State::Failed(error) => Err((**error).clone()),
            State::Over => panic!("an append is not polled after it has resolved"),
        };
        self.0 = State::Over;
        Poll::Ready(result)
    }
}

impl Drop for PendingAppend {
    fn drop(&mut self) {
        if let State::Sent { handle, call } = &self.0 {
            handle.session.abandon(*call);
        }
    }
}

fn conclude(handle: &Handle, answer: Answer) -> Result<Appended, AppendError> {
    let unknown = |reason| Err(AppendError::Unknown(reason));
    match answer {
        Answer::Appended(appended) => Ok(appended),
        Answer::Refused { rejection, sent_before } => {
            if sent_before && !settles_earlier_attempts(&rejection) {
                unknown(UnknownReason::Refused(rejection))
            } else {
                Err(AppendError::Rejected(rejection))
            }
        }
        Answer::Failed { code, message, sent_before } => {
            if sent_before || !is_refusal(code) {
                unknown(UnknownReason::Failed { code, message })
            } else {
                Err(AppendError::Failed { code, message })
            }
        }
        Answer::Expired { sent: true, tried, .. } => unknown(UnknownReason::Deadline { tried }),
        Answer::Expired { sent: false, last_refusal: Some(rejection), .. } => {
            Err(AppendError::Rejected(rejection))
        }
        Answer::Expired { sent: false, last_refusal: None, tried } => {
            Err(AppendError::Unreachable(handle.unreachable(tried)))
        }
        Answer::Closed { sent: true } => unknown(UnknownReason::Closed),
        Answer::Closed { sent: false } => {
            Err(AppendError::Unreachable(Arc::new(ConnectError::Closed)))
        }
        Answer::Status(_) | Answer::Transferred(_) => {
            let message = "the node answered as if to another request".to_owned();
            unknown(UnknownReason::Failed { code: ErrorCode::Protocol, message })
        }
    }
}

/// Whether a refusal of a later attempt says that no earlier one was carried out: those that come
/// of looking the event ids up do.
fn settles_earlier_attempts(rejection: &Rejection) -> bool {
    match rejection {
        Rejection::WrongRevision { .. } | Rejection::CorruptedIdempotency { .. } => true,
        // The same bytes are too large, or malformed, at each attempt.
        Rejection::TooLarge { .. }
        | Rejection::InvalidStreamName
        | Rejection::InvalidMetadata
        | Rejection::InvalidEvent => true,
        Rejection::StreamDeleted
        | Rejection::RetryExpired
        | Rejection::Overloaded
        | Rejection::DiskFull
        | Rejection::NotReady
        | Rejection::NotLeader { .. }
        | Rejection::Damaged => false,
    }
}
