//! The management endpoints of a real worker: what it says to whom, and over TLS.

#![allow(
    clippy::disallowed_methods,
    reason = "the program that makes certificates is run as an operator does"
)]

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};
use dmf_e2e::{ADMIN, ADMIN_PASSWORD, Binaries, Fleet, Management};
use dmf_lab::{Port, poll_until};
use serde_json::{Value, json};

const DEADLINE: Duration = Duration::from_secs(40);

fn admin() -> String {
    format!("http.admin: {{ username: {ADMIN}, password: {ADMIN_PASSWORD} }}\n")
}

async fn json(worker: &Management, path: &str) -> Result<Value> {
    Ok(serde_json::from_str(&worker.admin(path).await?)?)
}

async fn expect_status(worker: &Management, path: &str, status: u16) -> Result<()> {
    let (found, body) = worker.anonymous(path).await?;
    ensure!(found == status, "{path} answered {found}: {body}");
    Ok(())
}

async fn expect_health(worker: &Management) -> Result<()> {
    let (status, body) = worker.anonymous("/health").await?;
    ensure!((status, &body[..]) == (200, r#"{"status":"UP"}"#), "{status} {body}");
    let health = json(worker, "/health").await?;
    ensure!(health["name"] == "worker" && health["status"] == "UP", "{health:#}");
    for part in ["jdbc", "redis", "backend"] {
        ensure!(health["details"][part]["status"] == "UP", "{part}: {health:#}");
    }
    expect_status(worker, "/health/liveness", 200).await?;
    expect_status(worker, "/health/readiness", 200).await
}

/// The admin hears everything else, and nobody besides.
async fn expect_admin_only(worker: &Management) -> Result<()> {
    for path in ["/info", "/loggers", "/metrics", "/prometheus", "/nowhere"] {
        expect_status(worker, path, 401).await?;
    }
    let info = json(worker, "/info").await?;
    let doveadm = &info["doveadm"];
    ensure!(doveadm["dialect"] == "2.3", "{info:#}");
    ensure!(doveadm["version"].as_str().is_some_and(|version| version.starts_with("2.3.")), "{info:#}");
    ensure!(info["build"]["name"] == "dmf-worker", "{info:#}");
    let (unknown, _) = worker.as_admin("/nowhere", &[]).await?;
    ensure!(unknown == 404, "an unknown page answered {unknown}");
    Ok(())
}

async fn expect_loggers(worker: &Management) -> Result<()> {
    let before = json(worker, "/loggers/dmf.worker").await?;
    ensure!(before["effectiveLevel"] == "INFO", "{before:#}");
    let change = ["-H", "Content-Type: application/json", "-d", r#"{"configuredLevel":"DEBUG"}"#];
    let (status, body) = worker.as_admin("/loggers/dmf.worker", &change).await?;
    ensure!(status == 200, "{status} {body}");
    let after = json(worker, "/loggers/dmf.worker").await?;
    ensure!(after["effectiveLevel"] == "DEBUG", "{after:#}");
    Ok(())
}

async fn expect_metrics(worker: &Management) -> Result<()> {
    let names = json(worker, "/metrics").await?;
    let names = names["names"].as_array().cloned().unwrap_or_default();
    ensure!(names.contains(&json!("process.uptime")), "{names:?}");
    let text = worker.admin("/prometheus").await?;
    ensure!(text.lines().any(|line| line.starts_with("process_uptime_seconds ")), "{text}");
    Ok(())
}

#[tokio::test]
async fn says_what_it_is_and_how_it_is() -> Result<()> {
    let port = Port::reserve()?;
    let server = format!("micronaut.server: {{ host: 127.0.0.1, port: {} }}\n", port.number());
    Fleet::builder()
        .worker_settings(&(server + &admin()))
        .run(async |fleet| {
            let worker = Management::at(format!("http://127.0.0.1:{}", port.number()));
            expect_health(&worker).await?;
            expect_admin_only(&worker).await?;
            expect_loggers(&worker).await?;
            expect_metrics(&worker).await?;
            fleet.lab().redis().stop().await?;
            poll_until("it stayed UP without Redis", DEADLINE, async || {
                match worker.anonymous("/health").await {
                    Ok((503, _)) => Ok(()),
                    other => Err(format!("{other:?}")),
                }
            })
            .await?;
            fleet.lab().redis().start().await?;
            Ok(())
        })
        .await
}

fn make_certificate(dir: &Path) -> Result<()> {
    let mut command = Command::new(Binaries::for_test()?.scheduler());
    let output = command.arg("gen-certs").arg("-d").arg(dir).args(["--host", "127.0.0.1"]).output()?;
    ensure!(output.status.success(), "{output:?}");
    Ok(())
}

#[tokio::test]
async fn is_heard_over_tls_alone() -> Result<()> {
    let (parent, port) = (tempfile::tempdir()?, Port::reserve()?);
    let dir = parent.path().join("certs");
    make_certificate(&dir)?;
    let password = std::fs::read_to_string(dir.join("keystore.password"))?;
    let settings = format!(
        "micronaut.server.host: 127.0.0.1
micronaut.ssl:
  enabled: true
  port: {}
  key-store: {{ path: 'file:{}', password: '{}' }}
{}",
        port.number(),
        dir.join("keystore.p12").display(),
        password.trim(),
        admin(),
    );
    Fleet::builder()
        .worker_settings(&settings)
        .run(async |_| {
            let address = format!("127.0.0.1:{}", port.number());
            let worker = Management::at(format!("https://{address}")).trusting(dir.join("scheduler.pem"));
            expect_health(&worker).await?;
            expect_admin_only(&worker).await?;
            ensure!(Management::at(format!("http://{address}")).anonymous("/health").await.is_err());
            Ok(())
        })
        .await
}
