//! The HTTP door: `/livez`, `/readyz`, `/metrics` and `/`, on the TCP port beside QUIC's UDP port.
//!
//! The first byte of a connection tells TLS (22) from plain text. Plain text is for loopback, or
//! where `http_plain` says so; others are told in plain text to use HTTPS. Connections, header
//! bytes and times are all bounded, so that a stranger can cost only this thread's patience.

use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, oneshot};
use tokio_rustls::TlsAcceptor;

use super::{Shared, metrics, page};

/// The first byte of a TLS record that holds a handshake.
const TLS_HANDSHAKE: u8 = 22;
const HEADER_BYTES_MAX: usize = 16 << 10;
/// No honest scrape takes longer, keep-alive included.
const CONNECTION_SECONDS_MAX: u64 = 300;

/// What the door needs to know.
#[derive(Clone, Debug)]
pub struct Options {
    /// Connections at once; further ones wait in the listener's backlog.
    pub connections_max: usize,
    /// How long a client may take to say what it wants, and to shake hands.
    pub header_timeout: Duration,
    /// Whether others than loopback may speak without TLS.
    pub plain: bool,
}

/// The HTTP thread.
#[derive(Debug)]
pub struct AdminServer {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl AdminServer {
    /// Serves on a listener that is already bound.
    ///
    /// # Errors
    ///
    /// Where the system refuses a thread or what it needs.
    pub fn start(
        listener: TcpListener,
        tls: Arc<rustls::ServerConfig>,
        options: Options,
        shared: Arc<Shared>,
    ) -> std::io::Result<Self> {
        listener.set_nonblocking(true)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let listener = {
            let _inside = runtime.enter();
            tokio::net::TcpListener::from_std(listener)?
        };
        let (stop, stopped) = oneshot::channel();
        let door = Arc::new(Door { tls: TlsAcceptor::from(tls), options, shared });
        let thread = std::thread::Builder::new().name("http".into()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = accept(listener, door) => {}
                    // A dropped sender, too, means that the node is going.
                    _ = stopped => {}
                }
            });
        })?;
        Ok(Self { stop, thread })
    }

    /// Closes the door and waits until it is closed.
    pub fn stop(self) {
        // Where the thread is already gone there is nobody to tell.
        let _gone = self.stop.send(());
        if let Err(panic) = self.thread.join() {
            std::panic::resume_unwind(panic);
        }
    }
}

struct Door {
    tls: TlsAcceptor,
    options: Options,
    shared: Arc<Shared>,
}

async fn accept(listener: tokio::net::TcpListener, door: Arc<Door>) {
    let slots = Arc::new(Semaphore::new(door.options.connections_max.max(1)));
    loop {
        let slot = Arc::clone(&slots).acquire_owned().await.expect("it is never closed");
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(_) => {
                // The peer went away, or the process is out of descriptors: both pass.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let door = Arc::clone(&door);
        tokio::spawn(async move {
            let whole = Duration::from_secs(CONNECTION_SECONDS_MAX);
            // However it ends, the connection is over; its peer sees that by itself.
            let _ended = tokio::time::timeout(whole, door.connection(stream, peer)).await;
            drop(slot);
        });
    }
}

impl Door {
    async fn connection(&self, mut stream: TcpStream, peer: SocketAddr) {
        let patience = self.options.header_timeout;
        let mut first = [0];
        match tokio::time::timeout(patience, stream.peek(&mut first)).await {
            Ok(Ok(1)) => {}
            _ => return,
        }
        if first[0] == TLS_HANDSHAKE {
            if let Ok(Ok(stream)) = tokio::time::timeout(patience, self.tls.accept(stream)).await {
                self.serve(stream).await;
            }
        } else if self.options.plain || peer.ip().to_canonical().is_loopback() {
            self.serve(stream).await;
        } else {
            let answer = "HTTP/1.1 426 Upgrade Required\r\nconnection: close\r\n\
                          content-type: text/plain\r\n\r\nUse https, or set http_plain.\n";
            let _gone = stream.write_all(answer.as_bytes()).await;
        }
    }

    async fn serve(&self, stream: impl AsyncRead + AsyncWrite + Unpin + 'static) {
        let service =
            service_fn(|request| async move { Ok::<_, Infallible>(self.answer(&request)) });
        let _ended = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.options.header_timeout)
            .max_buf_size(HEADER_BYTES_MAX)
            .serve_connection(TokioIo::new(stream), service)
            .await;
    }

    fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n".into());
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        let health = &self.shared.health;
        let told = |(well, line): (bool, String)| {
            text(if well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, line)
        };
        match request.uri().path() {
            "/" => text(StatusCode::OK, page::render(&self.shared)),
            "/livez" => told(health.live()),
            "/readyz" => told(health.ready()),
            "/metrics" => {
                let mut response = text(StatusCode::OK, metrics::render(&self.shared));
                let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
                response.headers_mut().insert(CONTENT_TYPE, kind);
                response
            }
            _ => text(StatusCode::NOT_FOUND, "there are /livez, /readyz, /metrics and /\n".into()),
        }
    }
}

fn text(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}
