use std::ffi::OsString;
use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use crate::account::Account;
use crate::error::{Doing as _, Error, Result};
use crate::home::Home;
use crate::ports::Port;
use crate::probe::Probe;
use crate::programs;
use crate::server::{Recipe, SYSTEM_PATH, Server, tail};

/// Name of the database's owner, who needs no password.
const USER: &str = "postgres";
/// Debian keeps the programs of each version in a directory of its own, which no PATH has.
const VERSIONS: &str = "/usr/lib/postgresql";

/// Commits are as durable as in production.
const SETTINGS: [&str; 7] = [
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
    "max_connections=200",
    "fsync=on",
    "synchronous_commit=on",
    "full_page_writes=on",
    "logging_collector=off",
];

/// A private PostgreSQL server on a loopback port, for load tests that compare with it.
#[derive(Debug)]
pub struct Postgres {
    pub(crate) server: Server,
    pub(crate) port: Port,
}

impl Postgres {
    pub(crate) async fn launch(home: Arc<Home>, options: Vec<String>) -> Result<Self> {
        let account = Account::of_postgres()?;
        let dir = home.path().join("postgres");
        account.create_dir(&dir)?;
        let data = dir.join("data");
        let (to, owner) = (data.clone(), account.clone());
        tokio::task::spawn_blocking(move || initialise(&to, &owner))
            .await
            .doing(|| "make PostgreSQL's data directory".into())??;
        let program = programs::POSTGRES.locate_in(directories())?;
        let (server, port) = Server::launch_on_free_port(&home, |port| {
            Ok(Recipe {
                name: "postgres".into(),
                program: program.clone(),
                args: arguments(&data, port, &options),
                run_as: account.ids(),
                log: dir.join("server.log"),
                scratch: None,
                probe: Probe::Postgres(port),
            })
        })
        .await?;
        Ok(Self { server, port })
    }

    /// `postgres://user@127.0.0.1:port/db`; the database `postgres` is there from the start.
    pub fn url(&self, db: &str) -> String {
        format!("postgres://{USER}@127.0.0.1:{}/{db}", self.port())
    }
}

/// Where PostgreSQL's programs may be, those of the highest version first.
fn directories() -> Vec<PathBuf> {
    let versions = fs::read_dir(VERSIONS).into_iter().flatten().filter_map(Result::ok);
    newest_first(versions.map(|entry| entry.path()).collect())
}

fn newest_first(mut versions: Vec<PathBuf>) -> Vec<PathBuf> {
    let number = |path: &PathBuf| path.file_name()?.to_str()?.parse::<u32>().ok();
    versions.sort_by_key(|path| std::cmp::Reverse(number(path)));
    versions.into_iter().map(|version| version.join("bin")).collect()
}

fn initialise(data: &Path, owner: &Account) -> Result<()> {
    let program = programs::INITDB.locate_in(directories())?;
    let mut command = Command::new(program);
    command
        .arg(format!("--pgdata={}", data.display()))
        .args([&format!("--username={USER}"), "--auth=trust", "--encoding=UTF8", "--locale=C"])
        .env_clear()
        .env("PATH", SYSTEM_PATH)
        .current_dir("/")
        .stdin(Stdio::null());
    if let Some((uid, gid)) = owner.ids() {
        command.uid(uid).gid(gid);
    }
    let output = command.output().doing(|| "run initdb".into())?;
    if output.status.success() {
        return Ok(());
    }
    Err(Error::Command { command: "initdb".into(), status: output.status, stderr: tail(&output.stderr) })
}

fn arguments(data: &Path, port: u16, options: &[String]) -> Vec<OsString> {
    let port = format!("port={port}");
    let settings = SETTINGS.into_iter().chain([port.as_str()]).chain(options.iter().map(String::as_str));
    let settings = settings.flat_map(|setting| ["-c".into(), OsString::from(setting)]);
    ["-D".into(), data.into()].into_iter().chain(settings).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_version_comes_first() {
        let versions = ["9", "17", "common", "15"].map(PathBuf::from).to_vec();
        assert_eq!(newest_first(versions)[..2], ["17/bin", "15/bin"].map(PathBuf::from));
    }

    #[test]
    fn later_options_win() {
        let arguments = arguments(Path::new("data"), 5432, &["fsync=off".to_owned()]);
        assert_eq!(arguments[..2], ["-D", "data"]);
        assert_eq!(arguments[arguments.len() - 2..], ["-c", "fsync=off"]);
    }
}
