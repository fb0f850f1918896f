//! UDP as a machine of the world has it: turmoil's, and below it what can happen to a datagram.
//!
//! Loss, doubles, latency, damage and narrow links are dealt out here, where a datagram is sent;
//! partitions and dead machines are turmoil's, which also keeps it until it is due. The address of a
//! machine says which it is.

use std::fmt;
use std::future::Future;
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, UdpPoller};
use turmoil::net::UdpSocket;

use super::wire::{self, Parcel};

/// Datagrams that quinn may hand over at once.
const SEGMENTS_MAX: usize = 10;

type Readable = Pin<Box<dyn Future<Output = io::Result<()>> + Send>>;

/// One socket.
pub(super) struct WorldSocket {
    inner: Arc<UdpSocket>,
    address: SocketAddr,
    /// turmoil can only be awaited, not polled.
    readable: Mutex<Option<Readable>>,
}

impl WorldSocket {
    /// Opens it on the machine whose turn it is.
    ///
    /// - `address`: the machine's own; port 0 for any
    pub(super) fn open(address: SocketAddr) -> io::Result<Arc<Self>> {
        let mut binding = std::pin::pin!(UdpSocket::bind(("0.0.0.0", address.port())));
        let mut context = Context::from_waker(Waker::noop());
        let Poll::Ready(bound) = binding.as_mut().poll(&mut context) else {
            unreachable!("turmoil binds at once")
        };
        let inner = Arc::new(bound?);
        let address = SocketAddr::new(address.ip(), inner.local_addr()?.port());
        Ok(Arc::new(Self { inner, address, readable: Mutex::new(None) }))
    }
}

impl fmt::Debug for WorldSocket {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_tuple("WorldSocket").field(&self.address).finish()
    }
}

/// Hands a datagram to turmoil. Nobody at the other end is no error: no network tells.
fn send(socket: &UdpSocket, to: SocketAddr, bytes: &[u8]) {
    match socket.try_send_to(bytes, to) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
        Err(error) => panic!("turmoil takes every datagram: {error}"),
    }
}

impl AsyncUdpSocket for WorldSocket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(AlwaysWritable)
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        let to = transmit.destination;
        let segment = transmit.segment_size.unwrap_or(transmit.contents.len()).max(1);
        for datagram in transmit.contents.chunks(segment) {
            for parcel in wire::send(self.address, to, datagram) {
                send(&self.inner, to, parcel.bytes());
            }
        }
        Ok(())
    }

    fn poll_recv(
        &self,
        context: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let mut readable = self.readable.lock().unwrap_or_else(PoisonError::into_inner);
        let mut count = 0;
        for (buffer, meta) in buffers.iter_mut().zip(&mut *meta) {
            // To ask first is cheaper than to read where there is nothing: that makes an error.
            let waiting = readable.get_or_insert_with(|| {
                let inner = Arc::clone(&self.inner);
                Box::pin(async move { inner.readable().await })
            });
            let Poll::Ready(ready) = waiting.as_mut().poll(context) else { break };
            // While it waits, it holds the socket: it must be gone before anything can be read.
            *readable = None;
            ready?;
            let Ok((bytes, from)) = self.inner.try_recv_from(buffer) else { break };
            let bytes = Parcel::datagram_bytes(bytes);
            wire::received(from, self.address, &buffer[..bytes]);
            let dst_ip = Some(self.address.ip());
            *meta = RecvMeta { addr: from, len: bytes, stride: bytes, ecn: None, dst_ip };
            count += 1;
        }
        if count > 0 { Poll::Ready(Ok(count)) } else { Poll::Pending }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }

    fn max_transmit_segments(&self) -> usize {
        SEGMENTS_MAX
    }

    fn may_fragment(&self) -> bool {
        false
    }
}

#[derive(Debug)]
struct AlwaysWritable;

impl UdpPoller for AlwaysWritable {
    fn poll_writable(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
