//! One connection, from the handshake to its end.

use std::{
    convert::Infallible,
    future::Future,
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::{ConnectInfo, Request},
    response::Response,
};
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
    service::{Service, service_fn},
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::Service as _;

use super::{
    Limits,
    answers::{Answers, Watch, answers},
    stream::Guarded,
};

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
        let (answers, watch) = answers();
        let service = service(self.router, self.peer, answers);
        let ending = Ending { soft: &self.soft, watch, idle: None, stall: limits.write_stall };
        match version {
            Version::Http1 => {
                let mut builder = http1::Builder::new();
                builder
                    .timer(TokioTimer::new())
                    .header_read_timeout(limits.idle)
                    .max_header_size(limits.header_bytes as usize);
                // Each in a box of its own size: that of HTTP/2 is several times as large.
                Box::pin(ending.await_end(builder.serve_connection(io, service))).await
            }
            Version::Http2 => {
                let mut builder = http2::Builder::new(TokioExecutor::new());
                builder
                    .timer(TokioTimer::new())
                    .max_concurrent_streams(limits.streams)
                    .max_header_list_size(limits.header_bytes)
                    .keep_alive_interval(PING.0)
                    .keep_alive_timeout(PING.1);
                let ending = Ending { idle: Some(limits.idle), ..ending };
                Box::pin(ending.await_end(builder.serve_connection(io, service))).await
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

/// When a connection ends.
struct Ending<'e> {
    soft: &'e CancellationToken,
    watch: Watch,
    /// After so long without a request; HTTP/1 has such a time of its own.
    idle: Option<Duration>,
    /// How long a client may take none of its answer. Also who takes a byte now and then is given up: it has
    /// this time for each part of an answer.
    stall: Duration,
}

impl Ending<'_> {
    /// Runs a connection to its end: the client's, or after the soft stop, or when nothing was asked for too
    /// long, or an answer is not taken.
    async fn await_end<C: Finish>(self, connection: C) -> hyper::Result<()> {
        let Self { soft, mut watch, idle, stall } = self;
        let mut connection = pin!(connection);
        let (mut idle_watch, stall_watch) = (watch.clone(), watch.clone());
        let idle = async {
            match idle {
                Some(idle) => idle_watch.idle(idle).await,
                None => std::future::pending().await,
            }
        };
        let mut stalled = pin!(async {
            stall_watch.stalled(stall).await;
            tracing::debug!("a client does not take its answer");
        });
        tokio::select! {
            ended = connection.as_mut() => return ended,
            () = stalled.as_mut() => return Ok(()),
            () = soft.cancelled() => {}
            () = idle => {}
        }
        connection.as_mut().finish();
        let overdue = async {
            // The sender lives in the connection.
            watch.quiet().await;
            tokio::time::sleep(FAREWELL).await;
        };
        tokio::select! {
            ended = connection => ended,
            () = stalled => Ok(()),
            () = overdue => Ok(()),
        }
    }
}

fn service(
    router: Router,
    peer: SocketAddr,
    answers: Answers,
) -> impl Service<
    Request<Incoming>,
    Response = Response,
    Error = Infallible,
    Future = impl Future<Output = Result<Response, Infallible>> + Send + 'static,
> {
    service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        let (answers, running, method) = (answers.clone(), answers.begin(), request.method().clone());
        let answer = router.clone().call(request.map(Body::new));
        async move { Ok(answers.watch(&method, answer.await?, running)) }
    })
}
