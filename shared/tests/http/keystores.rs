//! Keystores as the real `keytool` and `openssl` make them.

#![allow(clippy::disallowed_methods, reason = "keytool and openssl are run to make what an operator has")]

use std::{path::Path, process::Command};

use rustls::{ProtocolVersion, pki_types::CertificateDer};

use crate::{
    client::{Http2, Speaking, connect, text},
    support::{Running, try_settings},
};

const PASSWORD: &str = "of the operator";
const HTTP2: Speaking = Speaking { version: ProtocolVersion::TLSv1_3, alpn: b"h2" };

/// Runs a program that must be there and succeed: what it prints.
fn run(program: &str, dir: &Path, arguments: &[&str]) -> Vec<u8> {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(dir)
        .output()
        .unwrap_or_else(|error| panic!("{program} (see infra/install-packages): {error}"));
    assert!(output.status.success(), "{program} {arguments:?}: {output:?}");
    output.stdout
}

fn keytool(dir: &Path, further: &[&str]) -> Vec<u8> {
    let common = ["-storetype", "PKCS12", "-keystore", "keystore.p12", "-storepass", PASSWORD];
    run("keytool", dir, &[further, &common[..]].concat())
}

fn yaml(dir: &Path, more: &str) -> String {
    format!(
        "micronaut.ssl: {{enabled: true, key-store: {{path: 'file:{}', type: PKCS12, password: {PASSWORD}}}{more}}}",
        dir.join("keystore.p12").display()
    )
}

async fn serves(yaml: &str, trusted: Vec<u8>) {
    let server = Running::start(yaml).await;
    let stream = connect(server.address, &CertificateDer::from(trusted), HTTP2).await.unwrap();
    assert_eq!(text(Http2::over(stream).await.get("/").await.unwrap()).await, "here");
}

#[tokio::test]
async fn of_keytool_current_and_legacy_with_both_kinds_of_keys() {
    for (algorithm, further) in [
        ("RSA", &[][..]),
        ("EC", &[][..]),
        ("RSA", &["-J-Dkeystore.pkcs12.legacy"][..]),
        ("EC", &["-J-Dkeystore.pkcs12.legacy"][..]),
    ] {
        let dir = tempfile::tempdir().unwrap();
        // The manual keeps the key of users' passwords in the same file.
        keytool(dir.path(), &["-genseckey", "-alias", "key1", "-keyalg", "AES", "-keysize", "256"]);
        let pair = ["-genkeypair", "-alias", "Scheduler", "-dname", "CN=localhost", "-keyalg", algorithm];
        let san = ["-ext", "san=dns:localhost", "-validity", "30"];
        keytool(dir.path(), &[&pair[..], &san, further].concat());
        let certificate = keytool(dir.path(), &["-exportcert", "-alias", "scheduler"]);
        serves(&yaml(dir.path(), ""), certificate.clone()).await;
        serves(&yaml(dir.path(), ", key.alias: Scheduler"), certificate).await;
        let error = try_settings(&yaml(dir.path(), ", key.alias: key1")).unwrap_err();
        assert!(error.contains("no private key with a certificate under the alias key1"), "{error}");
        let error = try_settings(&yaml(dir.path(), "").replace(PASSWORD, "another")).unwrap_err();
        assert!(error.contains("can't be opened") && !error.contains("another"), "{error}");
    }
}

#[tokio::test]
async fn of_openssl() {
    let dir = tempfile::tempdir().unwrap();
    let request = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "cert.pem"];
    let subject = [
        "-days",
        "30",
        "-subj",
        "/CN=localhost",
        "-addext",
        "subjectAltName=DNS:localhost",
        "-addext",
        "basicConstraints=critical,CA:FALSE",
    ];
    run("openssl", dir.path(), &[&request[..], &subject].concat());
    let password = format!("pass:{PASSWORD}");
    let export =
        ["pkcs12", "-export", "-in", "cert.pem", "-inkey", "key.pem", "-out", "keystore.p12", "-passout"];
    run("openssl", dir.path(), &[&export[..], &[&password]].concat());
    let certificate = run("openssl", dir.path(), &["x509", "-in", "cert.pem", "-outform", "DER"]);
    serves(&yaml(dir.path(), ""), certificate).await;
}
