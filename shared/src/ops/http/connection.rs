//! One connection, from the handshake to its end.

use std::{
    convert::Infallible,
    future::Future,
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{ConnectInfo, Request},
    response::Response,
};
use hyper::{
    body::{Body as HttpBody, Frame, Incoming, SizeHint},
    server::conn::{http1, http2},
    service::{Service, service_fn},
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite},
    net::TcpStream,
    sync::watch,
    time::timeout,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::Service as _;

use super::{Limits, stream::Guarded};

/// Longest time for a TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long a connection that is to end may take once nothing is being answered.
const FAREWELL: Duration = Duration::from_secs(5);
/// How often a silent peer of HTTP/2 is asked whether it is there, and how long it may take to answer.
const PING: (Duration, Duration) = (Duration::from_secs(20), Duration::from_secs(10));
/// What every client of HTTP/2 says first.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What a connection needs.
pub(super) struct Connection {
    pub(super) router: Router,
    pub(super) peer: SocketAddr,
    pub(super) limits: Limits,
    pub(super) tls: Option<TlsAcceptor>,
    /// Asks for the end after the requests that are being answered.
    pub(super) soft: CancellationToken,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    Http1,
    Http2,
}

impl Connection {
    /// Serves until either end is done. What goes wrong concerns nobody but this client.
    pub(super) async fn serve(self, stream: TcpStream) {
        let peer = self.peer;
        if let Err(error) = self.try_serve(stream).await {
            tracing::debug!(%peer, error = &*error, "a connection ended");
        }
    }

    async fn try_serve(self, stream: TcpStream) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        stream.set_nodelay(true)?;
        let soft = self.soft.clone();
        let Some(tls) = self.tls.clone() else {
            let mut stream = stream;
            let first = timeout(self.limits.idle, first_bytes(&mut stream));
            let Some(first) = soft.run_until_cancelled(first).await else { return Ok(()) };
            let (version, ahead) = first??;
            return Ok(self.speak(version, stream, ahead).await?);
        };
        let handshake = timeout(HANDSHAKE, tls.accept(stream));
        let Some(stream) = soft.run_until_cancelled(handshake).await else { return Ok(()) };
        let stream = stream??;
        let version =
            if stream.get_ref().1.alpn_protocol() == Some(b"h2") { Version::Http2 } else { Version::Http1 };
        Ok(self.speak(version, stream, Vec::new()).await?)
    }

    async fn speak<S>(self, version: Version, stream: S, ahead: Vec<u8>) -> hyper::Result<()>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let limits = self.limits;
        let io = TokioIo::new(Guarded::new(stream, ahead, limits.write_stall));
        let (running, count) = watch::channel(0);
        let service = service(self.router, self.peer, running);
        match version {
            Version::Http1 => {
                let mut builder = http1::Builder::new();
                builder
                    .timer(TokioTimer::new())
                    .header_read_timeout(limits.idle)
                    .max_header_size(limits.header_bytes as usize);
                // Each in a box of its own size: that of HTTP/2 is several times as large.
                Box::pin(finish(builder.serve_connection(io, service), &self.soft, count, None)).await
            }
            Version::Http2 => {
                let mut builder = http2::Builder::new(TokioExecutor::new());
                builder
                    .timer(TokioTimer::new())
                    .max_concurrent_streams(limits.streams)
                    .max_header_list_size(limits.header_bytes)
                    .keep_alive_interval(PING.0)
                    .keep_alive_timeout(PING.1);
                let idle = Some(limits.idle);
                Box::pin(finish(builder.serve_connection(io, service), &self.soft, count, idle)).await
            }
        }
    }
}

/// Which version the client speaks, with the bytes that told.
async fn first_bytes(stream: &mut TcpStream) -> io::Result<(Version, Vec<u8>)> {
    let mut first = Vec::with_capacity(PREFACE.len());
    loop {
        let missing = (PREFACE.len() - first.len()) as u64;
        if (&mut *stream).take(missing).read_buf(&mut first).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if !PREFACE.starts_with(&first) {
            return Ok((Version::Http1, first));
        }
        if first.len() == PREFACE.len() {
            return Ok((Version::Http2, first));
        }
    }
}

/// A connection of hyper that can be asked to end after what it answers.
trait Finish: Future<Output = hyper::Result<()>> {
    fn finish(self: Pin<&mut Self>);
}

impl<I, S> Finish for http1::Connection<I, S>
where
    Self: Future<Output = hyper::Result<()>>,
    I: hyper::rt::Read + hyper::rt::Write + Unpin,
    S: Service<Request<Incoming>, Response = Response, Error = Infallible>,
{
    fn finish(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<I, S> Finish for http2::Connection<I, S, TokioExecutor>
where
    Self: Future<Output = hyper::Result<()>>,
    I: hyper::rt::Read + hyper::rt::Write + Unpin,
    S: Service<Request<Incoming>, Response = Response, Error = Infallible>,
    TokioExecutor: hyper::rt::bounds::Http2ServerConnExec<S::Future, Body>,
{
    fn finish(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

/// Runs a connection to its end: the client's, or after the soft stop, or when nothing was asked for too
/// long (`idle`; HTTP/1 has its own such time).
async fn finish<C: Finish>(
    connection: C,
    soft: &CancellationToken,
    mut running: watch::Receiver<usize>,
    idle: Option<Duration>,
) -> hyper::Result<()> {
    let mut connection = pin!(connection);
    let asked_to_end = async {
        tokio::select! {
            () = soft.cancelled() => {}
            () = nothing_asked(running.clone(), idle) => {}
        }
    };
    tokio::select! {
        ended = connection.as_mut() => return ended,
        () = asked_to_end => {}
    }
    connection.as_mut().finish();
    let overdue = async {
        // The sender lives in the connection.
        let _ = running.wait_for(|count| *count == 0).await;
        tokio::time::sleep(FAREWELL).await;
    };
    tokio::select! {
        ended = connection => ended,
        () = overdue => Ok(()),
    }
}

/// Returns once no request was being answered for `idle`.
async fn nothing_asked(mut running: watch::Receiver<usize>, idle: Option<Duration>) {
    let Some(idle) = idle else { return std::future::pending().await };
    loop {
        let quiet = running.wait_for(|count| *count == 0).await.is_ok();
        if !quiet || timeout(idle, running.changed()).await.is_err() {
            return;
        }
    }
}

/// Counts a request until its answer is written.
struct Running(watch::Sender<usize>);

impl Running {
    fn begin(count: &watch::Sender<usize>) -> Self {
        count.send_modify(|count| *count += 1);
        Self(count.clone())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

fn service(
    router: Router,
    peer: SocketAddr,
    running: watch::Sender<usize>,
) -> impl Service<
    Request<Incoming>,
    Response = Response,
    Error = Infallible,
    Future = impl Future<Output = Result<Response, Infallible>> + Send + 'static,
> {
    service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        let running = Running::begin(&running);
        let answer = router.clone().call(request.map(Body::new));
        async move { Ok(answer.await?.map(|body| Body::new(Counted { body, _running: running }))) }
    })
}

/// The body of an answer that counts as running.
struct Counted {
    body: Body,
    _running: Running,
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
