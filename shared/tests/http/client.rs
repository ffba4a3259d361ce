//! Clients: bytes on a socket, and hyper's over HTTP/1.1 and HTTP/2.

use std::{net::SocketAddr, sync::Arc};

use axum::body::{Body, to_bytes};
use hyper::{Request, Response, body::Incoming, client::conn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{
    ClientConfig, ProtocolVersion, RootCertStore,
    client::WebPkiServerVerifier,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName},
    version::{TLS12, TLS13},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::support::soon;

/// A connection on which a test writes what it likes.
pub(crate) struct Raw(pub(crate) TcpStream);

impl Raw {
    pub(crate) async fn open(address: SocketAddr) -> Self {
        Self(TcpStream::connect(address).await.unwrap())
    }

    pub(crate) async fn send(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.unwrap();
    }

    /// Everything up to the end of the connection; a reset is an end too.
    pub(crate) async fn read_to_end(&mut self) -> String {
        let mut bytes = Vec::new();
        let read = soon("the server did not end the connection", self.0.read_to_end(&mut bytes)).await;
        if let Err(error) = read {
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// One answer without a body behind it: up to this text.
    pub(crate) async fn read_until(&mut self, end: &str) -> String {
        let mut text = String::new();
        while !text.ends_with(end) {
            let mut byte = [0];
            soon("no answer", self.0.read_exact(&mut byte)).await.unwrap();
            text.push(byte[0].into());
        }
        text
    }
}

/// A connection of HTTP/2. Dropping it ends it.
#[derive(Clone)]
pub(crate) struct Http2(conn::http2::SendRequest<Body>);

impl Http2 {
    pub(crate) async fn over<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(stream: S) -> Self {
        Self::with(stream, &conn::http2::Builder::new(TokioExecutor::new())).await
    }

    /// With settings of its own.
    pub(crate) async fn with<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
        stream: S,
        settings: &conn::http2::Builder<TokioExecutor>,
    ) -> Self {
        let (sender, connection) = settings.handshake(TokioIo::new(stream)).await.unwrap();
        background(async move { drop(connection.await) });
        Self(sender)
    }

    pub(crate) async fn get(&self, path: &str) -> hyper::Result<Response<Incoming>> {
        self.send(Request::get(format!("http://localhost{path}")).body(Body::empty()).unwrap()).await
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> hyper::Result<Response<Incoming>> {
        let mut sender = self.0.clone();
        soon("the connection takes no request", sender.ready()).await?;
        soon("no answer", sender.send_request(request)).await
    }

    /// Whether the connection has ended.
    pub(crate) async fn ended(&self) {
        let mut sender = self.0.clone();
        soon("the connection did not end", async {
            while sender.ready().await.is_ok() && !sender.is_closed() {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        })
        .await;
    }
}

/// Runs a client's own task until the test ends.
#[allow(clippy::disallowed_methods, reason = "a client is not a part of the process that a lifecycle stops")]
pub(crate) fn background(task: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(task);
}

/// The text of a body.
pub(crate) async fn text(response: Response<Incoming>) -> String {
    let bytes = to_bytes(Body::new(response.into_body()), 1 << 20).await.unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// How a client speaks TLS.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Speaking {
    pub(crate) version: ProtocolVersion,
    pub(crate) alpn: &'static [u8],
}

/// TLS to `localhost` that trusts this certificate alone.
pub(crate) async fn connect(
    address: SocketAddr,
    trusted: &CertificateDer<'static>,
    speaking: Speaking,
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier =
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build().unwrap();
    let version = if speaking.version == ProtocolVersion::TLSv1_2 { &TLS12 } else { &TLS13 };
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .with_webpki_verifier(verifier)
        .with_no_client_auth();
    config.alpn_protocols = vec![speaking.alpn.to_vec()];
    let stream = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    soon("no handshake", TlsConnector::from(Arc::new(config)).connect(name, stream)).await
}
