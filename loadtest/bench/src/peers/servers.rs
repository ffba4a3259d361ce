//! The servers of the contestants, the same for all of them, and what these cost there.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use dmf_lab::{Lab, Persistence};

use super::protocol::Database;
use crate::process;

/// Which Redis a contestant works on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Redis {
    /// One that keeps nothing on a disk.
    Memory,
    /// One that writes each command through to the disk before it answers.
    Fsync,
}

/// Servers on a directory of the disk that is measured.
#[derive(Debug)]
pub(crate) struct Servers {
    memory: Lab,
    fsync: Lab,
    /// Removed at the end, behind the servers.
    _data: tempfile::TempDir,
}

impl Servers {
    pub(crate) async fn start(data: &Path) -> Result<Self> {
        let data = tempfile::tempdir_in(data).context("a directory for the data")?;
        let memory = Lab::builder()
            .dir(data.path().join("lab"))
            .redis()
            .mariadb()
            .mariadb_options(&["--innodb-buffer-pool-size=1G", "--innodb-log-file-size=512M"])
            .postgres()
            .postgres_options(&["shared_buffers=1GB", "max_wal_size=2GB"])
            .start();
        let fsync = Lab::builder().dir(data.path().join("fsync")).redis_with(Persistence::AppendOnly).start();
        let (memory, fsync) = tokio::try_join!(memory, fsync)?;
        Ok(Self { memory, fsync, _data: data })
    }

    /// A directory for whatever else the measurement writes.
    pub(crate) fn directory(&self) -> &Path {
        self.fsync.dir()
    }

    pub(crate) fn redis(&self, which: Redis) -> &dmf_lab::Redis {
        match which {
            Redis::Memory => self.memory.redis(),
            Redis::Fsync => self.fsync.redis(),
        }
    }

    pub(crate) fn postgres_url(&self) -> String {
        self.memory.postgres().url("postgres")
    }

    pub(crate) fn mariadb(&self) -> Database {
        let server = self.memory.mariadb();
        Database {
            jdbc: server.jdbc_url("peers"),
            url: server.url(""),
            user: server.user().to_owned(),
            password: server.password().to_owned(),
        }
    }

    /// The major version of PostgreSQL.
    pub(crate) fn postgres_version(&self) -> Result<String> {
        let file = self.memory.dir().join("postgres/data/PG_VERSION");
        let version = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        Ok(version.trim().to_owned())
    }

    /// Empties a Redis.
    pub(crate) fn empty(&self, which: Redis) -> Result<()> {
        let mut connection = self.connect(which)?;
        redis::cmd("FLUSHALL").exec(&mut connection).context("FLUSHALL")?;
        Ok(())
    }

    /// Bytes that a Redis uses.
    pub(crate) fn redis_bytes(&self, which: Redis) -> Result<u64> {
        let mut connection = self.connect(which)?;
        let info: String = redis::cmd("INFO").arg("memory").query(&mut connection).context("INFO")?;
        let used = info.lines().find_map(|line| line.strip_prefix("used_memory:")).context("used_memory")?;
        Ok(used.trim().parse()?)
    }

    fn connect(&self, which: Redis) -> Result<redis::Connection> {
        Ok(redis::Client::open(self.redis(which).url())?.get_connection()?)
    }

    /// Nanoseconds of processor time that all servers have used so far.
    pub(crate) fn busy(&self) -> Result<u64> {
        let groups = [
            self.memory.redis().process_group(),
            self.memory.mariadb().process_group(),
            self.memory.postgres().process_group(),
            self.fsync.redis().process_group(),
        ];
        let roots: Vec<u32> =
            groups.into_iter().flatten().map(u32::try_from).collect::<Result<_, _>>().context("a group")?;
        let parents = parents()?;
        let own =
            parents.iter().filter(|(process, parent)| roots.contains(process) || roots.contains(parent));
        Ok(own.map(|(process, _)| nanos(process::busy(*process))).sum())
    }
}

/// Every process with its parent.
fn parents() -> Result<Vec<(u32, u32)>> {
    let entries = fs::read_dir("/proc").context("/proc")?;
    let numbers = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    // One that ends meanwhile has no parent any more.
    Ok(numbers.filter_map(|process: u32| Some((process, parent(process)?))).collect())
}

fn parent(process: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name, in brackets, may hold anything.
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_its_parent() {
        let own = std::process::id();
        let parent = std::os::unix::process::parent_id();
        assert!(parents().unwrap().contains(&(own, parent)));
    }
}
