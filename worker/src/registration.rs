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
    #[error("dmf.worker.state-dir: {} can't be used", path.display())]
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
    /// Others take and leave the name all the time.
    #[error("others took the name of worker {name} of target {target} while it started; it is to be unique")]
    NameContended {
        /// The worker's name.
        name: String,
        /// Its target.
        target: String,
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

    /// The process before this one, if there was one here and its record can be read.
    fn previous(&self) -> Option<Predecessor> {
        Predecessor::parse(&fs::read_to_string(self.incarnation_file()).ok()?)
    }

    fn write(&self, incarnation: Uuid, here: &Place) -> Result<(), Error> {
        let (path, new) = (self.incarnation_file(), self.path.join("incarnation.new"));
        fs::write(&new, format!("{incarnation} {} {}", here.boot, here.machine))
            .and_then(|()| fs::rename(&new, &path))
            .map_err(|source| Error::State { path, source })
    }
}

/// A machine, and one life of it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    boot: String,
    machine: String,
}

impl Place {
    /// Where this process is. A machine without an id, such as a container, is another one with each boot.
    fn here() -> Result<Self, Error> {
        let read = |path: &str| fs::read_to_string(path).map(|text| text.trim().to_owned());
        let path = "/proc/sys/kernel/random/boot_id";
        let boot = read(path).map_err(|source| Error::State { path: path.into(), source })?;
        let machine = read("/etc/machine-id").ok().filter(|id| !id.is_empty() && !id.contains(' '));
        Ok(Self { machine: machine.unwrap_or_else(|| boot.clone()), boot })
    }
}

/// The process before this one in the state directory.
#[derive(Debug, PartialEq, Eq)]
struct Predecessor {
    incarnation: Uuid,
    place: Place,
}

/// What is known of the predecessor's life.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    /// It ran in this boot: the lock of the directory is ours, so it and its children are gone.
    Gone,
    /// It ran in an earlier boot of this machine, or in one that was copied with its disk.
    Uncertain,
    /// It ran on another machine, where its children may live.
    Elsewhere,
}

impl Predecessor {
    fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_whitespace();
        let incarnation = words.next()?.parse().ok()?;
        let place = Place { boot: words.next()?.to_owned(), machine: words.next()?.to_owned() };
        Some(Self { incarnation, place })
    }

    fn fate(&self, here: &Place) -> Fate {
        match &self.place {
            place if place.boot == here.boot => Fate::Gone,
            place if place.machine == here.machine => Fate::Uncertain,
            _ => Fate::Elsewhere,
        }
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
    let here = Place::here()?;
    let previous = state.previous().map(|previous| (previous.fate(&here), previous.incarnation));
    registration.incarnation = Uuid::new_v4();
    for _ in 0..REGISTRATIONS {
        let known = store.backend(&registration.target, &registration.name).await?;
        let known = match known {
            Some(known) => {
                Some(refuse_live_twin(store, known, previous.as_ref(), &registration, rhythm).await?)
            }
            None => None,
        };
        // Before the old incarnation is forgotten: a crash after this line has nothing left to hand back.
        if let Some((Fate::Gone | Fate::Uncertain, previous)) = previous {
            reap_leases(store, previous, rhythm.max_losses).await?;
        }
        state.write(registration.incarnation, &here)?;
        if let Some(backend) = store.register_backend(&registration, known.as_ref()).await? {
            return Ok(backend);
        }
        tracing::warn!("somebody else took this worker's name, watching whether it lives");
    }
    Err(Error::NameContended { name: registration.name, target: registration.target })
}

/// How often a name is tried that somebody else takes at the same moment.
const REGISTRATIONS: u32 = 3;

/// Fails when another process with this name lives; gives the row as it was last seen. No clock of the database
/// decides where the machine of the other process is not known to be this one, only whether its beat changes:
/// longer than two heartbeats are watched.
async fn refuse_live_twin(
    store: &Store,
    known: Backend,
    previous: Option<&(Fate, Uuid)>,
    registration: &Registration,
    rhythm: crate::heartbeat::Rhythm,
) -> Result<Backend, Error> {
    let own = previous.filter(|(_, incarnation)| *incarnation == known.incarnation);
    let silent =
        known.actual_state == BackendState::Gone || u128::from(known.silent_ms) > rhythm.lease.as_millis();
    match own {
        Some((Fate::Gone, _)) => return Ok(known),
        // The other one may be a copy of this machine, whose clock is anything.
        Some((Fate::Uncertain, _)) => {}
        _ if silent => return Ok(known),
        _ => {}
    }
    tracing::info!(machine = known.machine, "another process had this name, watching whether it lives");
    let watched = rhythm.every * 2 + Duration::from_secs(1);
    let deadline = tokio::time::Instant::now() + watched;
    let mut last = known.clone();
    while tokio::time::Instant::now() < deadline {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let Some(now) = store.backend(&registration.target, &registration.name).await? else { continue };
        if now.beat != known.beat && now.actual_state != BackendState::Gone {
            return Err(Error::NameTaken {
                name: registration.name.clone(),
                target: registration.target.clone(),
                theirs: now.machine,
                ours: registration.machine.clone(),
            });
        }
        last = now;
    }
    Ok(last)
}

/// The earlier process is gone (its directory is locked by us) and so are its children: its leases
/// return to the queue at once. Each counts as a loss: a migration that kills its worker would else kill it
/// for ever, as often as something restarts it.
async fn reap_leases(store: &Store, previous: Uuid, max_losses: u32) -> Result<(), Error> {
    // By the incarnation alone: the name may have changed since.
    let leases = store.leases_of_incarnation(previous).await?;
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

#[cfg(test)]
mod tests {
    use super::*;

    fn place(boot: &str, machine: &str) -> Place {
        Place { boot: boot.to_owned(), machine: machine.to_owned() }
    }

    #[test]
    fn a_predecessor_is_known_by_boot_and_machine() {
        let text = format!("{} boot1 machine1\n", Uuid::nil());
        let previous = Predecessor::parse(&text).unwrap();
        assert_eq!(previous.fate(&place("boot1", "machine1")), Fate::Gone);
        assert_eq!(previous.fate(&place("boot2", "machine1")), Fate::Uncertain);
        assert_eq!(previous.fate(&place("boot2", "machine2")), Fate::Elsewhere);
        for bad in [String::new(), Uuid::nil().to_string(), "x boot machine".to_owned()] {
            assert_eq!(Predecessor::parse(&bad), None, "{bad:?}");
        }
    }
}
