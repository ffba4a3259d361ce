//! A scheduler on the original's settings file, credentials and addresses filled in.

use std::fs;
use std::net::TcpStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use dmf_e2e::Binaries;
use dmf_lab::{Lab, Port, poll_until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::curl::Curl;

/// How long a process may take to serve.
const DEADLINE: Duration = Duration::from_secs(40);
/// A file with all keys of the original's.
const SHIPPED: &str = include_str!("../../../../shared/src/config/testdata/shipped.yml");
/// The admin's password, as in the manual's requests.
pub(crate) const PASSWORD: &str = "secret";

/// Files of `gen-certs` in a directory.
#[derive(Debug)]
pub(crate) struct Certificates {
    dir: PathBuf,
}

impl Certificates {
    /// Makes them for the host name `scheduler`.
    pub(crate) fn make(dir: &Path) -> Result<Self> {
        run_gen_certs(dir, &[])?;
        Ok(Self { dir: dir.to_owned() })
    }

    /// Others in their place, opened by the same password. Gives the certificate that was there before.
    pub(crate) fn replace(&self) -> Result<PathBuf> {
        let before = self.dir.join("before.pem");
        fs::copy(self.pem(), &before)?;
        let password = self.dir.join("keystore.password");
        let password = password.to_str().context("a path in UTF-8")?;
        run_gen_certs(&self.dir, &["--force", "--password-file", password])?;
        Ok(before)
    }

    pub(crate) fn pem(&self) -> PathBuf {
        self.dir.join("scheduler.pem")
    }

    pub(crate) fn keystore(&self) -> PathBuf {
        self.dir.join("keystore.p12")
    }

    pub(crate) fn password(&self) -> Result<String> {
        Ok(fs::read_to_string(self.dir.join("keystore.password"))?.trim().to_owned())
    }
}

fn run_gen_certs(dir: &Path, arguments: &[&str]) -> Result<()> {
    let made = Command::new(Binaries::for_test()?.scheduler())
        .args(["gen-certs", "--host", "scheduler", "-d"])
        .arg(dir)
        .args(arguments)
        .output()?;
    ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    Ok(())
}

/// A running scheduler, its stores and its certificate.
#[derive(Debug)]
pub(crate) struct Scheduler {
    pub(crate) certificates: Certificates,
    pub(crate) curl: Curl,
    child: Child,
    log: PathBuf,
    _port: Port,
    lab: Lab,
}

impl Scheduler {
    /// Starts one and waits until it listens. `environment` is laid over the file.
    pub(crate) async fn start(environment: &[(&str, &str)]) -> Result<Self> {
        let lab = Lab::builder().mariadb().redis().start().await?;
        let port = Port::reserve()?;
        let certificates = Certificates::make(&lab.dir().join("certs"))?;
        let settings = lab.dir().join("dmf-scheduler.yml");
        fs::write(&settings, fill_in(&lab, &certificates, port.number())?)?;
        let path = lab.dir().join("scheduler.log");
        let log = fs::File::create(&path)?;
        let child = Command::new(Binaries::for_test()?.scheduler())
            .arg("--config")
            .arg(&settings)
            .env_clear()
            // The original has no Redis.
            .env("REDIS_URL", lab.redis().url())
            .env("MICRONAUT_SERVER_HOST", "127.0.0.1")
            .envs(environment.iter().copied())
            .current_dir("/")
            .stdin(Stdio::null())
            .stderr(log.try_clone()?)
            .stdout(log)
            .process_group(0)
            .spawn()?;
        lab.guard(i32::try_from(child.id())?)?;
        let curl = Curl { port: port.number(), pem: certificates.pem() };
        let scheduler = Self { certificates, curl, child, log: path, _port: port, lab };
        scheduler.wait_until_it_listens().await?;
        Ok(scheduler)
    }

    async fn wait_until_it_listens(&self) -> Result<()> {
        poll_until("the scheduler did not listen", DEADLINE, async || {
            TcpStream::connect(("127.0.0.1", self.curl.port))
                .map_err(|error| format!("{error}: {}", self.log()))
        })
        .await?;
        Ok(())
    }

    /// Waits until the admin hears that all is well.
    pub(crate) async fn wait_until_up(&self) -> Result<()> {
        let credentials = format!("admin:{PASSWORD}");
        poll_until("the scheduler did not get UP", DEADLINE, async || {
            match self.curl.get(&["-u", &credentials], "/health") {
                Ok(answer) if answer.status == 200 => Ok(()),
                other => Err(format!("{other:?}: {}", self.log())),
            }
        })
        .await?;
        Ok(())
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub(crate) fn hang_up(&self) -> Result<()> {
        Ok(kill(Pid::from_raw(i32::try_from(self.child.id())?), Signal::SIGHUP)?)
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        if let Ok(group) = i32::try_from(self.child.id()) {
            self.lab.release(group);
        }
    }
}

/// The shipped file with what only the site knows.
fn fill_in(lab: &Lab, certificates: &Certificates, port: u16) -> Result<String> {
    let (user, database_password) = (lab.mariadb().user(), lab.mariadb().password());
    let url = format!("{}?createDatabaseIfNotExist=true", lab.mariadb().jdbc_url("migration"));
    let (keystore, password) = (certificates.keystore().display().to_string(), certificates.password()?);
    let filled = [
        (
            "    username:\n    password:\n  headers:",
            format!("    username: admin\n    password: {PASSWORD}\n  headers:"),
        ),
        ("path: file:/etc/dmf/certs/keystore.p12", format!("path: file:{keystore}")),
        (
            "        password:\n      port: 8443",
            format!("        password: '{password}'\n      port: {port}"),
        ),
        ("jdbc:mysql://localhost:3306/migration?createDatabaseIfNotExist=true", url),
        (
            "    username:\n    password:\n    dialect",
            format!("    username: {user}\n    password: {database_password}\n    dialect"),
        ),
    ];
    filled.into_iter().try_fold(SHIPPED.to_owned(), |text, (blank, value)| {
        ensure!(text.matches(blank).count() == 1, "{blank} is not in the shipped file once");
        Ok(text.replace(blank, &value))
    })
}
