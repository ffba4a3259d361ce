//! Connections that were given back a moment ago, for the next who needs one. sqlx asks each connection that returns
//! to its pool whether it lives: a round trip, for every borrower.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use sqlx::{MySql, pool::PoolConnection};
use tokio::runtime::Handle;

/// How long a connection that answered is believed to live.
pub(super) const TRUSTED_FOR: Duration = Duration::from_secs(1);
/// A connection goes back to sqlx's pool at least so often, which looks at its age.
const AWAY_FOR: Duration = Duration::from_secs(10);

/// A connection out of sqlx's pool.
#[derive(Debug)]
pub(super) struct Borrowed {
    pub(super) connection: PoolConnection<MySql>,
    /// Since when.
    since: Instant,
}

impl Borrowed {
    /// It has just left the pool.
    pub(super) fn now(connection: PoolConnection<MySql>) -> Self {
        Self { connection, since: Instant::now() }
    }
}

/// The spare connections of a pool.
#[derive(Debug, Clone, Default)]
pub(super) struct Spares(Arc<Mutex<Shelf>>);

#[derive(Debug, Default)]
struct Shelf {
    /// With the time at which each came, in that order.
    spare: Vec<(Borrowed, Instant)>,
    /// How many wait for a connection of sqlx's pool: each that is given back goes there.
    waiting: usize,
    closed: bool,
}

/// Somebody waits for sqlx's pool.
#[derive(Debug)]
pub(super) struct Waiting(Spares);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.shelf().waiting -= 1;
    }
}

impl Drop for Shelf {
    /// Nothing can be given back to sqlx's pool without a runtime, behind whose end the process ends, too.
    fn drop(&mut self) {
        if Handle::try_current().is_err() {
            std::mem::forget(std::mem::take(&mut self.spare));
        }
    }
}

impl Spares {
    /// The one that came last, or the leave to wait for sqlx's pool.
    pub(super) fn take(&self) -> Result<Borrowed, Waiting> {
        let (taken, old) = {
            let mut shelf = self.shelf();
            let old = shelf.old();
            let taken = shelf.spare.pop();
            if taken.is_none() {
                shelf.waiting += 1;
            }
            (taken, old)
        };
        // Not under the lock: sqlx has locks of its own.
        drop(old);
        taken.map(|(borrowed, _)| borrowed).ok_or_else(|| Waiting(self.clone()))
    }

    /// Takes one that answered just now.
    pub(super) fn put(&self, borrowed: Borrowed) {
        let mut shelf = self.shelf();
        let mut gone = shelf.old();
        if shelf.waiting > 0 || shelf.closed || borrowed.since.elapsed() > AWAY_FOR {
            gone.push((borrowed, Instant::now()));
        } else {
            shelf.spare.push((borrowed, Instant::now()));
        }
        drop(shelf);
        drop(gone);
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.shelf().spare.len()
    }

    /// From now on there are none.
    pub(super) fn close(&self) {
        let gone = {
            let mut shelf = self.shelf();
            shelf.closed = true;
            std::mem::take(&mut shelf.spare)
        };
        drop(gone);
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shelf {
    /// Takes those out that have lain too long to be trusted; sqlx's pool asks them.
    fn old(&mut self) -> Vec<(Borrowed, Instant)> {
        let old = self.spare.iter().take_while(|(_, came)| came.elapsed() >= TRUSTED_FOR).count();
        self.spare.drain(..old).collect()
    }
}
