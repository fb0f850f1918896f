//! A network within the process: datagrams pass from socket to socket through memory.
//!
//! Together with tokio's paused clock it runs real QUIC without ports and without waiting, and a
//! test can cut any socket off, or put another in its place. Nothing is lost otherwise, and nothing
//! is reordered.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::io::{self, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, UdpPoller};

/// Datagrams beyond this many are lost, as they are by a socket of the operating system.
const QUEUE_DATAGRAMS_MAX: usize = 4096;

/// A network; clones are the same one.
#[derive(Clone, Default)]
pub struct Network(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    queues: HashMap<SocketAddr, Queue>,
    sockets: u16,
}

#[derive(Default)]
struct Queue {
    /// Which socket it belongs to.
    owner: u16,
    datagrams: VecDeque<(SocketAddr, Vec<u8>)>,
    receiver: Option<Waker>,
    cut_off: bool,
}

impl Network {
    /// An empty network.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A new socket with an address of its own, on 127.0.0.1.
    #[must_use]
    pub fn socket(&self) -> Arc<Socket> {
        let port = self.lock().sockets + 1;
        self.socket_at(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
    }

    /// A new socket at this address. One that was there before is dead from now on, as after a
    /// process was killed and started again.
    #[must_use]
    pub fn socket_at(&self, address: SocketAddr) -> Arc<Socket> {
        let mut state = self.lock();
        state.sockets += 1;
        let id = state.sockets;
        state.queues.insert(address, Queue { owner: id, ..Queue::default() });
        Arc::new(Socket { network: self.clone(), address, id })
    }

    /// Cuts a socket off, or connects it again: while it is cut off, nothing passes either way.
    pub fn cut_off(&self, address: SocketAddr, cut_off: bool) {
        if let Some(queue) = self.lock().queues.get_mut(&address) {
            queue.cut_off = cut_off;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Network").finish_non_exhaustive()
    }
}

/// A socket of a [`Network`].
#[derive(Debug)]
pub struct Socket {
    network: Network,
    address: SocketAddr,
    id: u16,
}

impl Socket {
    /// Its address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl State {
    /// The queue of a socket, unless another socket has taken its place.
    fn queue_of(&mut self, socket: &Socket) -> Option<&mut Queue> {
        self.queues.get_mut(&socket.address).filter(|queue| queue.owner == socket.id)
    }
}

impl AsyncUdpSocket for Socket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(AlwaysWritable)
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        let mut state = self.network.lock();
        if state.queue_of(self).is_none_or(|own| own.cut_off) {
            return Ok(());
        }
        let Some(queue) = state.queues.get_mut(&transmit.destination) else { return Ok(()) };
        if queue.cut_off {
            return Ok(());
        }
        let segment = transmit.segment_size.unwrap_or(transmit.contents.len()).max(1);
        for datagram in transmit.contents.chunks(segment) {
            if queue.datagrams.len() < QUEUE_DATAGRAMS_MAX {
                queue.datagrams.push_back((self.address, datagram.to_vec()));
            }
        }
        let receiver = queue.receiver.take();
        drop(state);
        if let Some(receiver) = receiver {
            receiver.wake();
        }
        Ok(())
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let mut state = self.network.lock();
        let Some(queue) = state.queue_of(self) else { return Poll::Pending };
        let mut count = 0;
        for (buffer, meta) in buffers.iter_mut().zip(meta) {
            let Some((from, datagram)) = queue.datagrams.pop_front() else { break };
            let bytes = datagram.len().min(buffer.len());
            buffer[..bytes].copy_from_slice(&datagram[..bytes]);
            *meta = RecvMeta { addr: from, len: bytes, stride: bytes, ecn: None, dst_ip: None };
            count += 1;
        }
        if count > 0 {
            return Poll::Ready(Ok(count));
        }
        queue.receiver = Some(cx.waker().clone());
        Poll::Pending
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }

    fn may_fragment(&self) -> bool {
        false
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let mut state = self.network.lock();
        if state.queue_of(self).is_some() {
            state.queues.remove(&self.address);
        }
    }
}

#[derive(Debug)]
struct AlwaysWritable;

impl UdpPoller for AlwaysWritable {
    fn poll_writable(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
