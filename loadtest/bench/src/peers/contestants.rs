//! Who is measured, and how each is started.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::own::{REDIS_PART, STOCK, WHOLE};
use super::servers::Redis;

/// What survives the loss of a server. One is never compared with the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Nothing: jobs live in the memory of a Redis.
    Memory,
    /// Every job: it is on the disk before anybody is told that it was taken.
    Durable,
}

impl Mode {
    pub(crate) const ALL: [Self; 2] = [Self::Memory, Self::Durable];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Memory => "in memory",
            Self::Durable => "durable",
        }
    }

    /// For file names.
    pub(crate) const fn slug(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Durable => "durable",
        }
    }
}

/// Where a contestant keeps its jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keeps {
    /// In Redis.
    Redis,
    /// In a database of its own.
    Database,
    /// In a database, with a copy of what could run in Redis.
    Both,
}

/// One of those that are compared.
#[derive(Debug, Clone)]
pub(crate) struct Contestant {
    pub(crate) name: &'static str,
    pub(crate) mode: Mode,
    pub(crate) keeps: Keeps,
    pub(crate) redis: Redis,
    /// Whether it can limit the jobs of one key.
    pub(crate) keyed: bool,
    /// Program and arguments.
    pub(crate) command: Vec<String>,
    /// How it is set up.
    pub(crate) how: &'static str,
}

impl Contestant {
    /// Whether it is this project's.
    pub(crate) fn is_own(&self) -> bool {
        [WHOLE, REDIS_PART].contains(&self.name)
    }

    /// Whether it survives the loss of Redis, from its database.
    pub(crate) fn rebuilds(&self) -> bool {
        self.keeps == Keeps::Both
    }
}

/// Where `loadtest/install-peers` has put the others.
#[derive(Debug)]
struct Installed(PathBuf);

impl Installed {
    fn node(&self, name: &str) -> Vec<String> {
        vec![self.path("node/bin/node"), self.path(&format!("{name}/main.mjs"))]
    }

    fn python(&self, name: &str) -> Vec<String> {
        vec![self.path(&format!("{name}/venv/bin/python")), self.path(&format!("{name}/main.py"))]
    }

    fn path(&self, below: &str) -> String {
        self.0.join(below).display().to_string()
    }
}

/// Versions of what runs the others.
pub(crate) fn runtimes(installed: &Path) -> Result<String> {
    let version = |program: &str| {
        let output = Command::new(installed.join(program)).arg("--version").output();
        let output = output.with_context(|| program.to_owned())?;
        anyhow::Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    Ok(format!("Node {}; {}", version("node/bin/node")?, version("celery/venv/bin/python")?))
}

fn own(name: &str) -> Result<Vec<String>> {
    let program = std::env::current_exe().context("this program")?;
    Ok([program.to_str().context("this program")?, "--contestant", name, "--role"]
        .map(str::to_owned)
        .to_vec())
}

/// All of them, those of this project first in their mode.
pub(crate) fn all(installed: &Path) -> Result<Vec<Contestant>> {
    let installed = Installed(installed.canonicalize().with_context(|| {
        format!("{}: the peers are not installed, loadtest/install-peers does it", installed.display())
    })?);
    let plain = |name, command, how| Contestant {
        name,
        mode: Mode::Memory,
        keeps: Keeps::Redis,
        redis: Redis::Memory,
        keyed: false,
        command,
        how,
    };
    let keyed = |contestant: Contestant| Contestant { keyed: true, ..contestant };
    let durable = |contestant: Contestant, keeps| Contestant { mode: Mode::Durable, keeps, ..contestant };
    let bullmq = plain("bullmq", installed.node("bullmq"), "one process");
    let fsync = Contestant {
        name: "bullmq, fsync",
        redis: Redis::Fsync,
        how: "Redis with `appendfsync always`",
        ..bullmq.clone()
    };
    Ok(vec![
        keyed(plain(
            REDIS_PART,
            own(REDIS_PART)?,
            "producer, propose, heartbeat, settle; nothing decides but Redis",
        )),
        plain(STOCK, own(STOCK)?, "Pub/Sub, batches of its concurrency"),
        bullmq,
        keyed(plain(
            "groupmq",
            installed.node("groupmq"),
            "a group runs one job at a time, so a key has three groups",
        )),
        plain("celery", installed.python("celery"), "two prefork processes, no results"),
        plain("rq", installed.python("rq"), "two workers, which fork for each job"),
        plain("dramatiq", installed.python("dramatiq"), "two processes, 25 threads each"),
        plain("arq", installed.python("arq"), "looks every 5 ms"),
        keyed(plain("pydocket", installed.python("pydocket"), "looks every 5 ms")),
        keyed(durable(plain(WHOLE, own(WHOLE)?, "MariaDB, Redis, a relay, a worker"), Keeps::Both)),
        keyed(durable(
            plain("pg-boss", installed.node("pg-boss"), "PostgreSQL; batches of 50, notified"),
            Keeps::Database,
        )),
        keyed(durable(
            plain(
                "graphile-worker",
                installed.node("graphile-worker"),
                "PostgreSQL; local queue of 500, three named queues a key",
            ),
            Keeps::Database,
        )),
        durable(fsync, Keeps::Redis),
    ])
}
