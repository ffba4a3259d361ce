//! Connections that were given back, for the next who needs one. sqlx asks each connection that returns to its pool
//! whether it lives: a round trip for every borrower, and without a limit where the line is dead.

use std::{
    ops::{Deref, DerefMut},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use sqlx::{Connection as _, MySql, MySqlConnection, pool::PoolConnection};
use tokio::{runtime::Handle, time::timeout};

/// How long a connection that answered is believed to live.
pub(super) const TRUSTED_FOR: Duration = Duration::from_secs(1);
/// How long one that lay for longer may take to answer.
const PING_LIMIT: Duration = Duration::from_secs(2);
/// Who lay here for so long, or was away from sqlx's pool for so long, goes back to it: sqlx knows how old a
/// connection may become, and how many are kept.
const HOME_AFTER: Duration = Duration::from_secs(10);

/// A connection out of sqlx's pool. Dropped, it is closed: nobody knows what is under way on it.
#[derive(Debug)]
pub(super) struct Borrowed {
    connection: Option<PoolConnection<MySql>>,
    /// Since when.
    since: Instant,
}

impl Borrowed {
    /// It has just left the pool.
    pub(super) fn now(connection: PoolConnection<MySql>) -> Self {
        Self { connection: Some(connection), since: Instant::now() }
    }

    /// Goes back to the pool, which asks whether it lives.
    pub(super) fn go_home(mut self) {
        drop(self.connection.take());
    }

    /// Closes it, with its locks and its settings.
    pub(super) async fn close(mut self) -> sqlx::Result<()> {
        match self.connection.take() {
            Some(connection) => connection.close().await,
            None => Ok(()),
        }
    }
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        if let Some(connection) = &mut self.connection {
            connection.close_on_drop();
        }
    }
}

#[allow(clippy::expect_used, reason = "it is taken only by what consumes the loan")]
impl Deref for Borrowed {
    type Target = MySqlConnection;

    fn deref(&self) -> &MySqlConnection {
        self.connection.as_ref().expect("a loan has its connection until it ends")
    }
}

#[allow(clippy::expect_used, reason = "it is taken only by what consumes the loan")]
impl DerefMut for Borrowed {
    fn deref_mut(&mut self) -> &mut MySqlConnection {
        self.connection.as_mut().expect("a loan has its connection until it ends")
    }
}

/// Whether a connection answers in time.
pub(super) async fn answers(connection: &mut MySqlConnection) -> bool {
    matches!(timeout(PING_LIMIT, connection.ping()).await, Ok(Ok(())))
}

/// A spare connection, and since when it is one.
type Spare = (Borrowed, Instant);

/// The spare connections of a pool.
#[derive(Debug, Clone)]
pub(super) struct Spares(Arc<Mutex<Shelf>>);

#[derive(Debug)]
struct Shelf {
    /// How many stay, however long nobody needs them.
    kept: usize,
    /// In the order in which they came.
    spare: Vec<Spare>,
    /// How many wait for a connection of sqlx's pool: each that is given back goes there.
    waiting: usize,
    closed: bool,
}

impl Drop for Shelf {
    /// No connection can be closed without a runtime, behind whose end the process ends, too.
    fn drop(&mut self) {
        if Handle::try_current().is_err() {
            std::mem::forget(std::mem::take(&mut self.spare));
        }
    }
}

/// Somebody waits for sqlx's pool.
#[derive(Debug)]
pub(super) struct Waiting(Spares);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.shelf().waiting -= 1;
    }
}

impl Spares {
    /// None yet; so many are to stay. sqlx could keep them, too, but who closes a connection then holds a place of its
    /// pool for minutes while the server is away.
    pub(super) fn new(kept: u32) -> Self {
        let kept = usize::try_from(kept).unwrap_or(usize::MAX);
        Self(Arc::new(Mutex::new(Shelf { kept, spare: Vec::new(), waiting: 0, closed: false })))
    }

    /// One that lives, or the leave to wait for sqlx's pool.
    pub(super) async fn take(&self) -> Result<Borrowed, Waiting> {
        loop {
            let (mut borrowed, came) = self.pop()?;
            if came.elapsed() < TRUSTED_FOR || answers(&mut borrowed).await {
                return Ok(borrowed);
            }
            // Those that came before it are no better.
            let older: Vec<Spare> = {
                let mut shelf = self.shelf();
                let older = shelf.spare.iter().take_while(|(_, other)| *other <= came).count();
                shelf.spare.drain(..older).collect()
            };
            drop((borrowed, older));
        }
    }

    /// The one that came last, or the leave to wait.
    fn pop(&self) -> Result<Spare, Waiting> {
        let mut shelf = self.shelf();
        let spare = shelf.spare.pop();
        if spare.is_none() {
            shelf.waiting += 1;
        }
        drop(shelf);
        spare.ok_or_else(|| Waiting(self.clone()))
    }

    /// Takes one that answered just now.
    pub(super) fn put(&self, borrowed: Borrowed) {
        let now = Instant::now();
        let (gone, idle) = {
            let mut shelf = self.shelf();
            let idle = shelf.spare.iter().take_while(|(_, came)| now - *came >= HOME_AFTER).count();
            let idle = idle.min(shelf.spare.len().saturating_sub(shelf.kept));
            let idle: Vec<Spare> = shelf.spare.drain(..idle).collect();
            if shelf.waiting > 0 || shelf.closed || now - borrowed.since >= HOME_AFTER {
                (Some(borrowed), idle)
            } else {
                shelf.spare.push((borrowed, now));
                (None, idle)
            }
        };
        // Not under the lock: sqlx has locks of its own.
        if let Some(gone) = gone {
            gone.go_home();
        }
        if !idle.is_empty() {
            send_home(idle);
        }
    }

    /// How many there are, and how many of them stay.
    pub(super) fn counts(&self) -> (usize, usize) {
        let shelf = self.shelf();
        (shelf.spare.len(), shelf.kept)
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

/// Gives those back to sqlx's pool that still live: it would wait for an answer without end.
fn send_home(idle: Vec<Spare>) {
    let send = async {
        let each = idle.into_iter().map(|(mut borrowed, _)| async {
            if answers(&mut borrowed).await {
                borrowed.go_home();
            }
        });
        futures::future::join_all(each).await;
    };
    #[allow(clippy::disallowed_methods, reason = "it ends by itself soon, and a closing pool waits for it")]
    drop(tokio::spawn(send));
}
