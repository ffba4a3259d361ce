//! SIGHUP: new connections get the certificate that lies there now, and those that live go on.

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context as _, Result};
use dmf_e2e::Fleet;
use dmf_lab::{Port, poll_until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::curl::Curl;
use crate::scheduler::{Certificates, PASSWORD, Scheduler};

const DEADLINE: Duration = Duration::from_secs(20);

/// A connection over TLS that stays open between requests.
struct Held {
    child: Child,
    input: ChildStdin,
    heard: Arc<Mutex<String>>,
    answers: usize,
}

impl Held {
    fn open(port: u16, pem: &Path) -> Result<Self> {
        let mut child = Command::new("openssl")
            .args(["s_client", "-quiet", "-verify_return_error", "-servername", "scheduler", "-connect"])
            .arg(format!("127.0.0.1:{port}"))
            .arg("-CAfile")
            .arg(pem)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("openssl (see infra/install-packages)")?;
        let input = child.stdin.take().context("its input")?;
        let mut output = child.stdout.take().context("its output")?;
        let heard = Arc::new(Mutex::new(String::new()));
        let to = Arc::clone(&heard);
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = output.read(&mut buffer) {
                if let Ok(mut heard) = to.lock() {
                    heard.push_str(&String::from_utf8_lossy(&buffer[..count]));
                }
            }
        });
        Ok(Self { child, input, heard, answers: 0 })
    }

    /// Asks once more on the same connection and waits for the answer.
    async fn ask(&mut self) -> Result<()> {
        self.input.write_all(b"GET /health/liveness HTTP/1.1\r\nHost: scheduler\r\n\r\n")?;
        self.input.flush()?;
        self.answers += 1;
        poll_until("no answer on the connection that lived", DEADLINE, async || {
            let heard = self.heard.lock().map(|heard| heard.clone()).unwrap_or_default();
            if heard.matches("HTTP/1.1 ").count() == self.answers { Ok(()) } else { Err(heard) }
        })
        .await?;
        Ok(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Puts another certificate in the place of the one that is served, and sends the signal by `hang_up`.
async fn expect_reload(
    curl: &Curl,
    certificates: &Certificates,
    hang_up: impl FnOnce() -> Result<()>,
) -> Result<()> {
    let credentials = format!("admin:{PASSWORD}");
    let admin = ["-u", credentials.as_str()];
    let before = Curl { pem: certificates.replace()?, ..curl.clone() };
    let mut held = Held::open(curl.port, &before.pem)?;
    held.ask().await?;
    assert_eq!(before.get(&admin, "/info")?.status, 200);
    assert!(curl.get(&admin, "/info").is_err(), "the certificate changed without a signal");
    hang_up()?;
    poll_until("the new certificate is not shown", DEADLINE, async || {
        curl.get(&admin, "/info").map_err(|error| error.to_string())
    })
    .await?;
    let refused = before.get(&admin, "/info").map(|answer| answer.status);
    assert!(refused.is_err(), "the old certificate is still shown");
    held.ask().await
}

#[tokio::test]
async fn a_scheduler_reads_its_certificate_again() -> Result<()> {
    let scheduler = Scheduler::start(&[]).await?;
    expect_reload(&scheduler.curl, &scheduler.certificates, || scheduler.hang_up()).await?;
    scheduler.wait_until_up().await
}

#[tokio::test]
async fn a_worker_reads_its_certificate_again() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let (certificates, port) = (Certificates::make(dir.path())?, Port::reserve()?);
    let settings = format!(
        "micronaut:
  server.host: 127.0.0.1
  ssl:
    enabled: true
    port: {}
    key-store: {{ path: '{}', password: '{}' }}
http.admin: {{ username: admin, password: {PASSWORD} }}
",
        port.number(),
        certificates.keystore().display(),
        certificates.password()?
    );
    Fleet::builder()
        .worker_settings(&settings)
        .run(async |fleet| {
            let curl = Curl { port: port.number(), pem: certificates.pem() };
            let pid = fleet.workers()[0].pid().context("the worker runs")?;
            expect_reload(&curl, &certificates, || Ok(kill(Pid::from_raw(pid), Signal::SIGHUP)?)).await
        })
        .await
}
