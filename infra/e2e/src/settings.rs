//! The settings files of the fleet, as an operator would write them.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use dmf_lab::Lab;

/// Name of the admin.
pub const ADMIN: &str = "admin";
/// The admin's password.
pub const ADMIN_PASSWORD: &str = "admin-of-the-lab";
/// The target that all workers work for.
pub(crate) const TARGET: &str = "default";
/// Name of the database.
pub(crate) const DATABASE: &str = "migration";

/// What tests change in the workers' settings.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WorkerOptions {
    pub(crate) threads: u32,
    pub(crate) grace_secs: u32,
    pub(crate) retry_delay_secs: u32,
}

/// Times of the lease protocol, in seconds: the same for every process of a fleet.
#[derive(Debug, Clone, Copy)]
pub struct LeaseSecs {
    /// Between two heartbeats of a worker.
    pub heartbeat: u32,
    /// From the sending of a confirmed heartbeat to the end of the children.
    pub deadline: u32,
    /// How long a lease is seen silent before it is reaped.
    pub silence: u32,
    /// Between two looks of the reaper.
    pub poll: u32,
}

impl LeaseSecs {
    /// The shortest that the settings allow with some room, so that a loss is seen within seconds.
    pub const FAST: Self = Self { heartbeat: 1, deadline: 4, silence: 6, poll: 1 };

    /// With room for a store that restarts on a busy machine: nobody may notice that.
    pub const STEADY: Self = Self { heartbeat: 1, deadline: 8, silence: 12, poll: 1 };

    /// So many heartbeats take longer than a silent lease lives.
    pub const fn beats_beyond_silence(self) -> u64 {
        (self.silence / self.heartbeat) as u64 + 3
    }

    /// As settings. A store that can't be reached is given up as fast as leases are short.
    fn lines(self) -> String {
        let Self { heartbeat, deadline, silence, poll } = self;
        format!(
            "dmf.lease:
  heartbeat: {heartbeat}s
  deadline: {deadline}s
  silence: {silence}s
  poll: {poll}s
  max-losses: 3
datasources.default.connection-timeout: 2000
redis.timeout: 1s
"
        )
    }
}

/// What one process is told besides its own name.
#[derive(Debug)]
pub(crate) struct Surroundings<'a> {
    /// Where it finds MariaDB.
    pub(crate) mariadb: SocketAddr,
    /// Where it finds Redis.
    pub(crate) redis: SocketAddr,
    /// Times of the leases; `None` for those of most tests.
    pub(crate) lease: Option<LeaseSecs>,
    /// Further settings, as YAML.
    pub(crate) extra: &'a str,
    /// What runs in the place of doveadm.
    pub(crate) doveadm: Option<&'a Path>,
}

/// A file that only its owner reads.
pub(crate) fn write_private(path: &Path, content: &[u8]) -> Result<()> {
    let mut options = File::options();
    options.create(true).truncate(true).write(true).mode(0o600);
    let mut file = options.open(path).with_context(|| path.display().to_string())?;
    file.write_all(content).with_context(|| path.display().to_string())
}

/// The key that seals passwords, made when it is not there.
fn storage_key(dir: &Path) -> Result<PathBuf> {
    let path = dir.join("storage.key");
    if !path.exists() {
        let mut key = [0; 32];
        File::open("/dev/urandom")
            .and_then(|mut random| random.read_exact(&mut key))
            .context("random bytes")?;
        write_private(&path, &key)?;
    }
    Ok(path)
}

/// What schedulers and workers share.
fn stores(lab: &Lab, dir: &Path, surroundings: &Surroundings<'_>) -> Result<String> {
    let Surroundings { mariadb, redis, .. } = surroundings;
    let (user, password) = (lab.mariadb().user(), lab.mariadb().password());
    let key = storage_key(dir)?;
    Ok(format!(
        "datasources:
  default:
    url: jdbc:mariadb://{mariadb}/{DATABASE}?createDatabaseIfNotExist=true
    username: {user}
    password: {password}
redis:
  url: redis://{redis}/
dmf.crypto.storage-key:
  alias: lab
  file: {key}
",
        key = key.display()
    ))
}

/// Writes `scheduler-N.yml`.
pub(crate) fn write_scheduler(
    lab: &Lab,
    dir: &Path,
    number: usize,
    port: u16,
    surroundings: &Surroundings<'_>,
) -> Result<PathBuf> {
    let lease = surroundings.lease.map(LeaseSecs::lines).unwrap_or_default();
    let text = format!(
        "micronaut.server:
  host: 127.0.0.1
  port: {port}
http.admin:
  username: {ADMIN}
  password: {ADMIN_PASSWORD}
{stores}{lease}{extra}",
        stores = stores(lab, dir, surroundings)?,
        extra = surroundings.extra,
    );
    write(dir, &format!("scheduler-{number}"), &text)
}

/// Writes `worker-N.yml`. Leases beat faster than in production, so that tests need not wait for them.
pub(crate) fn write_worker(
    lab: &Lab,
    dir: &Path,
    number: usize,
    options: WorkerOptions,
    surroundings: &Surroundings<'_>,
) -> Result<PathBuf> {
    let beat = || "dmf.lease:\n  heartbeat: 1s\n  deadline: 15s\n".to_owned();
    let lease = surroundings.lease.map_or_else(beat, LeaseSecs::lines);
    let WorkerOptions { threads, grace_secs, retry_delay_secs } = options;
    let target = lab.target();
    let doveadm = match surroundings.doveadm {
        Some(program) => program.to_path_buf(),
        None => dmf_lab::programs::DOVEADM.locate()?,
    };
    let user = target.mail_user().map(|user| format!("  user: {user}\n")).unwrap_or_default();
    let state = dir.join(format!("worker-{number}.state"));
    let text = format!(
        "{stores}{lease}dmf.worker:
  identity:
    target: {TARGET}
    name: worker-{number}
  threads.max: {threads}
  state-dir: {state}
  shutdown.grace: {grace_secs}s
  sync.retry:
    attempts: 3
    delay: {retry_delay_secs}s
dmf.doveadm:
  path: {doveadm}
  config: {conf}
{user}{extra}",
        stores = stores(lab, dir, surroundings)?,
        extra = surroundings.extra,
        state = state.display(),
        doveadm = doveadm.display(),
        conf = target.conf_path().display(),
    );
    write(dir, &format!("worker-{number}"), &text)
}

fn write(dir: &Path, name: &str, text: &str) -> Result<PathBuf> {
    fs::create_dir_all(dir)?;
    let path = dir.join(format!("{name}.yml"));
    write_private(&path, text.as_bytes())?;
    Ok(path)
}
