//! Frames from a QUIC stream.

use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::task::{Context, Poll, ready};

use quinn::{ReadError, RecvStream};
use thiserror::Error;
use tokio::io::AsyncReadExt as _;

use crate::frame::{Frame, FrameReader, WireError};

/// How much is taken out of a stream at once.
const READ_BYTES: usize = 64 << 10;

/// Why no more frames come from a stream.
#[derive(Clone, Debug, Error)]
pub enum ReceiveError {
    /// The peer sent something that is not a frame.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// The peer gave the stream up, or the connection is lost.
    #[error("{}", reason(.0))]
    Stream(#[from] ReadError),
}

/// quinn's text for a lost connection leaves out why it was lost.
fn reason(error: &ReadError) -> String {
    match error {
        ReadError::ConnectionLost(lost) => lost.to_string(),
        other => other.to_string(),
    }
}

/// Reads one stream frame by frame.
#[derive(Debug)]
pub struct FrameReceiver {
    stream: RecvStream,
    reader: FrameReader,
}

impl FrameReceiver {
    /// - `payload_bytes_max`: the longest payload that is taken
    #[must_use]
    pub fn new(stream: RecvStream, payload_bytes_max: u32) -> Self {
        Self { stream, reader: FrameReader::new(payload_bytes_max) }
    }

    /// Takes longer (or only shorter) payloads from the next frame on.
    pub fn set_payload_bytes_max(&mut self, payload_bytes_max: u32) {
        self.reader.set_payload_bytes_max(payload_bytes_max);
    }

    /// The next frame that is here already: nothing is waited for.
    ///
    /// # Errors
    ///
    /// [`WireError`] where the bytes are not a frame.
    pub fn ready(&mut self) -> Result<Option<Frame>, WireError> {
        self.reader.next_frame()
    }

    /// The next frame; `None` where the peer has finished the stream between two frames.
    ///
    /// Nothing is lost when the future is dropped.
    ///
    /// # Errors
    ///
    /// [`ReceiveError`] where the bytes are not a frame or the stream is lost.
    pub async fn next(&mut self) -> Result<Option<Frame>, ReceiveError> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// As [`FrameReceiver::next`], for who writes a future by hand.
    ///
    /// # Errors
    ///
    /// [`ReceiveError`] where the bytes are not a frame or the stream is lost.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Frame>, ReceiveError>> {
        loop {
            if let Some(frame) = self.reader.next_frame()? {
                return Poll::Ready(Ok(Some(frame)));
            }
            self.reader.buffer().reserve(READ_BYTES);
            // The future holds nothing of its own, so it can be made anew for each poll.
            let received = pin!(self.stream.read_buf(self.reader.buffer())).poll(cx);
            let count = ready!(received).map_err(|error| {
                // quinn wraps its own error to fit tokio's trait.
                error.downcast::<ReadError>().unwrap_or(ReadError::ClosedStream)
            })?;
            if count == 0 {
                self.reader.finish()?;
                return Poll::Ready(Ok(None));
            }
        }
    }

    /// Tells the peer that nothing more is wanted.
    pub fn stop(&mut self, code: quinn::VarInt) {
        // A stream that has ended by itself needs no stopping.
        drop(self.stream.stop(code));
    }
}
