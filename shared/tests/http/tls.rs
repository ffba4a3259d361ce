//! TLS of both versions, with a certificate that changes while connections live.

use std::{fs, path::PathBuf};

use axum::body::Body;
use hyper::{Request, client::conn::http1};
use hyper_util::rt::TokioIo;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::{ProtocolVersion, pki_types::CertificateDer};
use tempfile::TempDir;

use crate::{
    client::{Http2, Speaking, background, connect, text},
    support::{Running, try_settings},
};

const HTTP2: Speaking = Speaking { version: ProtocolVersion::TLSv1_3, alpn: b"h2" };

/// A directory with a certificate in PEM, its key before it.
struct Pem {
    dir: TempDir,
}

impl Pem {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("server.pem")
    }

    /// Writes a fresh certificate.
    fn write(&self) -> CertificateDer<'static> {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        fs::write(self.path(), signing_key.serialize_pem() + &cert.pem()).unwrap();
        cert.der().clone()
    }

    fn yaml(&self) -> String {
        format!(
            "micronaut.ssl: {{enabled: true, key-store: {{type: PEM, path: 'file:{}'}}}}",
            self.path().display()
        )
    }
}

#[tokio::test]
async fn both_versions_of_tls_and_of_http() {
    let pem = Pem::new();
    let trusted = pem.write();
    let server = Running::start(&pem.yaml()).await;
    for version in [ProtocolVersion::TLSv1_2, ProtocolVersion::TLSv1_3] {
        let stream = connect(server.address, &trusted, Speaking { version, alpn: b"h2" }).await.unwrap();
        assert_eq!(stream.get_ref().1.protocol_version(), Some(version));
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let http2 = Http2::over(stream).await;
        assert_eq!(text(http2.get("/").await.unwrap()).await, "here");

        let speaking = Speaking { version, alpn: b"http/1.1" };
        let stream = connect(server.address, &trusted, speaking).await.unwrap();
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        background(async move { drop(connection.await) });
        let request = Request::get("/").header("host", "localhost").body(Body::empty()).unwrap();
        assert_eq!(text(sender.send_request(request).await.unwrap()).await, "here");
    }
}

#[tokio::test]
async fn a_certificate_is_read_again_and_connections_live_on() {
    let pem = Pem::new();
    let first = pem.write();
    let server = Running::start(&pem.yaml()).await;
    let old = Http2::over(connect(server.address, &first, HTTP2).await.unwrap()).await;
    assert_eq!(text(old.get("/").await.unwrap()).await, "here");

    let second = pem.write();
    server.settings.reload();
    assert!(connect(server.address, &first, HTTP2).await.is_err(), "the old certificate is still shown");
    let new = Http2::over(connect(server.address, &second, HTTP2).await.unwrap()).await;
    assert_eq!(text(new.get("/").await.unwrap()).await, "here");
    assert_eq!(text(old.get("/").await.unwrap()).await, "here");

    // A file that is not in order changes nothing.
    fs::write(pem.path(), "half a certificate").unwrap();
    server.settings.reload();
    assert!(connect(server.address, &second, HTTP2).await.is_ok());
}

#[tokio::test]
async fn the_key_may_lie_in_a_file_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let (chain, key) = (dir.path().join("fullchain.pem"), dir.path().join("privkey.pem"));
    let made = generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    fs::write(&chain, made.cert.pem()).unwrap();
    fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let yaml = format!(
        "micronaut.server.ssl: {{enabled: true, key-store: {{path: '{}', key-path: '{}'}}}}",
        chain.display(),
        key.display()
    );
    let server = Running::start(&yaml).await;
    assert!(connect(server.address, made.cert.der(), HTTP2).await.is_ok());

    let other = generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    fs::write(&key, other.signing_key.serialize_pem()).unwrap();
    let error = try_settings(&yaml).unwrap_err();
    assert!(error.contains("fullchain.pem"), "a key of another certificate: {error}");
}

#[test]
fn everything_that_is_wrong_is_named() {
    let pem = Pem::new();
    let is_wrong = |yaml: &str, expected: &str| {
        let error = try_settings(yaml).unwrap_err();
        assert!(error.contains(expected), "{yaml}: {error}");
    };
    is_wrong("micronaut.ssl.enabled: true", "micronaut.ssl.key-store.path: required");
    is_wrong(&pem.yaml(), "can't be read");
    fs::write(pem.path(), [0xfe, 0xed, 0xfe, 0xed, 0, 0]).unwrap();
    is_wrong(&pem.yaml(), "keytool -importkeystore");
    fs::write(pem.path(), "-----BEGIN NOTHING-----").unwrap();
    is_wrong(&pem.yaml(), "no certificate in PEM");
    let made = generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    fs::write(pem.path(), made.cert.pem()).unwrap();
    is_wrong(&pem.yaml(), "no private key");
    let path = pem.path().display().to_string();
    is_wrong(
        &format!("micronaut.ssl: {{enabled: true, key-store.path: '{path}'}}"),
        "micronaut.ssl.key-store.password: required",
    );
    is_wrong("micronaut.ssl.client-authentication: NEED", "not supported");
}

#[test]
fn the_server_settings_override_the_base() {
    let pem = Pem::new();
    pem.write();
    let base = pem.yaml();
    let over = try_settings(&format!("{base}\nmicronaut.server.ssl: {{port: 9443}}")).unwrap();
    assert_eq!(over.address.port(), 9443);
    assert_eq!(try_settings(&base).unwrap().address.port(), 8443);
    let off = try_settings(&format!("{base}\nmicronaut.server: {{port: 8081, ssl.enabled: no}}")).unwrap();
    assert!(off.certificates.is_none() && off.address.port() == 8081);
    // A key store under `server` replaces the other one as a whole.
    let error = try_settings(&format!("{base}\nmicronaut.server.ssl.key-store.password: x")).unwrap_err();
    assert!(error.contains("micronaut.server.ssl.key-store.path: required"), "{error}");
}
