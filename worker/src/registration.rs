//! Who this worker is: its state directory, its incarnation, its row in MariaDB.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use dmf_shared::store::{self, Backend, BackendState, Registration, Store};
use nix::fcntl::{Flock, FlockArg};
use uuid::Uuid;

use crate::process::{self, kill_leftovers};

/// Why a worker can't take its place.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The state directory can't be used.
    #[error("state directory {}", path.display())]
    State {
        /// The file or directory at fault.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// Another process of this machine uses the state directory.
    #[error("another worker runs with the state directory {}", .0.display())]
    Locked(PathBuf),
    /// Children of the process before this one can't be killed.
    #[error("children of the worker process before this one still live")]
    Leftovers(#[source] process::Error),
    /// Some of them survived.
    #[error("{0} children of the worker process before this one survive SIGKILL")]
    Survivors(usize),
    /// Another live process has the name.
    #[error("the worker {name} of target {target} runs on {theirs} already, so it does not start on {ours}")]
    NameTaken {
        /// The worker's name.
        name: String,
        /// Its target.
        target: String,
        /// The machine of the other process.
        theirs: String,
        /// This machine.
        ours: String,
    },
    /// MariaDB failed.
    #[error("the worker can't be registered")]
    Store(#[from] store::Error),
}

/// The state directory, locked for the life of this process.
#[derive(Debug)]
pub struct StateDir {
    path: PathBuf,
    _lock: Flock<fs::File>,
}

/// How long children of a dead worker may take to die.
const LEFTOVER_LIMIT: Duration = Duration::from_secs(20);

impl StateDir {
    /// Takes the directory, making it where it is missing.
    pub fn lock(path: &Path) -> Result<Self, Error> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| Error::State { path, source }
        };
        fs::create_dir_all(path).map_err(failed(path))?;
        let file = path.join("worker.lock");
        let lock = fs::OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&file)
            .map_err(failed(&file))?;
        match Flock::lock(lock, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err((_, nix::errno::Errno::EWOULDBLOCK)) => Err(Error::Locked(path.to_owned())),
            Err((_, errno)) => Err(failed(&file)(errno.into())),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn incarnation_file(&self) -> PathBuf {
        self.path.join("incarnation")
    }

    /// The incarnation of the process before this one, if there was one here.
    fn previous_incarnation(&self) -> Option<Uuid> {
        fs::read_to_string(self.incarnation_file()).ok()?.trim().parse().ok()
    }

    fn write_incarnation(&self, incarnation: Uuid) -> Result<(), Error> {
        let (path, new) = (self.incarnation_file(), self.path.join("incarnation.new"));
        fs::write(&new, incarnation.to_string())
            .and_then(|()| fs::rename(&new, &path))
            .map_err(|source| Error::State { path, source })
    }
}

/// Takes the worker's place: kills what an earlier process of this directory left behind, makes sure
/// that no live process has the name, registers, and takes the earlier process's leases back.
pub async fn take_place(
    store: &Store,
    state: &StateDir,
    mut registration: Registration,
    rhythm: crate::heartbeat::Rhythm,
) -> Result<Backend, Error> {
    let leftovers = kill_leftovers(state.path(), LEFTOVER_LIMIT).await.map_err(Error::Leftovers)?;
    if !leftovers.remaining.is_empty() {
        return Err(Error::Survivors(leftovers.remaining.len()));
    }
    let previous = state.previous_incarnation();
    let known = store.backend(&registration.target, &registration.name).await?;
    if let Some(known) = &known
        && Some(known.incarnation) != previous
    {
        refuse_live_twin(store, known, &registration, rhythm).await?;
    }
    // Before the old incarnation is forgotten: a crash after this line has nothing left to hand back.
    if let (Some(known), Some(previous)) = (&known, previous) {
        reap_leases(store, known, previous, rhythm.max_losses).await?;
    }
    registration.incarnation = Uuid::new_v4();
    state.write_incarnation(registration.incarnation)?;
    Ok(store.register_backend(&registration).await?)
}

/// A worker whose last heartbeat is recent is watched for longer than two heartbeats; no clock of the
/// database decides, only whether its beat changes.
async fn refuse_live_twin(
    store: &Store,
    known: &Backend,
    registration: &Registration,
    rhythm: crate::heartbeat::Rhythm,
) -> Result<(), Error> {
    if known.actual_state == BackendState::Gone || u128::from(known.silent_ms) > rhythm.lease.as_millis() {
        return Ok(());
    }
    tracing::info!(machine = known.machine, "another process had this name, watching whether it lives");
    let watched = rhythm.every * 2 + Duration::from_secs(1);
    let deadline = tokio::time::Instant::now() + watched;
    while tokio::time::Instant::now() < deadline {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let now = store.backend(&registration.target, &registration.name).await?;
        if now.is_some_and(|now| now.beat != known.beat && now.actual_state != BackendState::Gone) {
            return Err(Error::NameTaken {
                name: registration.name.clone(),
                target: registration.target.clone(),
                theirs: known.machine.clone(),
                ours: registration.machine.clone(),
            });
        }
    }
    Ok(())
}

/// The earlier process is gone (its directory is locked by us) and so are its children: its leases
/// return to the queue at once. Each counts as a loss: a migration that kills its worker would else kill it
/// for ever, as often as something restarts it.
async fn reap_leases(store: &Store, backend: &Backend, previous: Uuid, max_losses: u32) -> Result<(), Error> {
    let leases = store.leases_of(backend.id, previous).await?;
    if leases.is_empty() {
        return Ok(());
    }
    let (sources, beats) = (store.sources().await?, store.lease_beats().await?);
    for lease in leases {
        let Some(source) = sources.iter().find(|source| source.id == lease.job.source) else { continue };
        // One that a reaper has taken meanwhile is nobody's any more.
        let Some(beat) = beats.iter().find(|beat| beat.job == lease.job && beat.epoch == lease.epoch) else {
            continue;
        };
        let reaped = store.reap(source, beat, max_losses).await?;
        tracing::warn!(job = %lease.job, ?reaped, "took back what the process before this one held");
    }
    Ok(())
}
