//! Heartbeats: two witnesses, MariaDB and Redis. Either answer keeps a lease alive; MariaDB's answer
//! also brings what is wanted of it.

mod database;
mod unknown;

use std::{sync::Arc, time::Duration};

use dmf_shared::store::HeldLease;
use tokio::{
    sync::{Notify, mpsc},
    time::{Interval, MissedTickBehavior},
};
use tokio_util::sync::CancellationToken;

use crate::{
    held::{Held, Table},
    lessor::Claimant,
    orders,
};

/// How often, and how long things live.
#[derive(Debug, Clone, Copy)]
pub struct Rhythm {
    /// Time between two heartbeats.
    pub every: Duration,
    /// How long a lease lives after the sending of a request that confirmed it.
    pub lease: Duration,
    /// How long a store may take to answer.
    pub timeout: Duration,
    /// A lease in MariaDB that this process has not known for so long is handed back.
    pub claim_timeout: Duration,
    /// A migration that was lost so often is given up.
    pub max_losses: u32,
}

/// Has both stores asked at once.
#[derive(Debug, Default)]
pub struct Look {
    database: Notify,
    queue: Notify,
}

impl Look {
    /// Something is wanted: beat now.
    pub fn now(&self) {
        self.database.notify_one();
        self.queue.notify_one();
    }
}

/// What beats.
#[derive(Debug)]
pub struct Heartbeat {
    /// Claims and releases.
    pub claimant: Arc<Claimant>,
    /// How often.
    pub rhythm: Rhythm,
    /// Told when something is wanted now: then it beats at once.
    pub look: Arc<Look>,
    /// Cancelled when another process has taken this worker's name: two must not live on.
    pub usurped: CancellationToken,
}

impl Heartbeat {
    /// Beats until `stop`. Each store has a loop of its own, so that one which does not answer never
    /// delays what the other has to confirm.
    pub async fn run(self, stop: CancellationToken) {
        let (unknown, mut handed) = mpsc::channel(1);
        let loops = async {
            tokio::join!(self.ask_database(&unknown), self.ask_queue(), self.hand_back_unknown(&mut handed))
        };
        tokio::select! {
            _ = loops => {}
            () = stop.cancelled() => {}
        }
    }

    async fn ask_database(&self, unknown: &mpsc::Sender<Vec<HeldLease>>) {
        let mut interval = self.interval();
        let mut seen = unknown::Seen::default();
        loop {
            wait(&mut interval, &self.look.database).await;
            self.beat_database(&mut seen, unknown).await;
        }
    }

    async fn ask_queue(&self) {
        let mut interval = self.interval();
        loop {
            wait(&mut interval, &self.look.queue).await;
            self.claimant.beat_queue(&self.living(), self.rhythm.timeout).await;
            orders::obey_kept(&self.claimant, self.rhythm.timeout / 4).await;
        }
    }

    fn interval(&self) -> Interval {
        let mut interval = tokio::time::interval(self.rhythm.every);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        interval
    }

    fn table(&self) -> &Table {
        &self.claimant.table
    }

    /// The leases that may be confirmed: one that is lost stays lost.
    fn living(&self) -> Vec<Arc<Held>> {
        self.table().all().into_iter().filter(|held| !held.is_lost()).collect()
    }
}

/// Waits for the next beat, or for a look.
async fn wait(interval: &mut Interval, look: &Notify) {
    tokio::select! {
        _ = interval.tick() => {}
        () = look.notified() => interval.reset(),
    }
}
