//! Brings the database schema up to date while the API already answers, with 503 until it is there.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use dmf_shared::store::{self, Options, Store};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// How long to wait before the database is asked again.
const PAUSE: Duration = Duration::from_secs(2);
/// Longest time in which the database must say that it is there.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
/// Longest time of all steps together: a new key over many large tables needs minutes.
const MIGRATION_LIMIT: Duration = Duration::from_hours(1);

/// Time between two looks for Sources whose tables are of an older version.
const KEEP_UP_EVERY: Duration = Duration::from_mins(1);

/// Whether the schema is up to date. Clones say the same.
#[derive(Debug, Clone, Default)]
pub struct Schema(Arc<AtomicBool>);

impl Schema {
    /// One that is up to date.
    pub fn ready() -> Self {
        let schema = Self::default();
        schema.0.store(true, Ordering::Release);
        schema
    }

    /// Whether requests can be served.
    pub fn is_ready(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    /// Waits for the database, creates it where `options` allow that, and runs what the schema lacks. `false`
    /// when `stop` came first. Fails on what waiting does not mend.
    pub async fn bring_up(
        &self,
        store: &Store,
        options: &Options,
        stop: &CancellationToken,
    ) -> store::Result<bool> {
        loop {
            let step = async {
                match timeout(ANSWER_LIMIT, Store::create_database(options)).await {
                    Ok(created) => created?,
                    Err(_) => return Ok(false),
                }
                match timeout(ANSWER_LIMIT, store.version()).await {
                    Ok(version) => version?,
                    Err(_) => return Ok(false),
                };
                timeout(MIGRATION_LIMIT, store.migrate()).await.map_or(Ok(false), |done| done.map(|()| true))
            };
            match stop.run_until_cancelled(step).await {
                None => return Ok(false),
                Some(Ok(true)) => {
                    self.0.store(true, Ordering::Release);
                    return Ok(true);
                }
                Some(Ok(false)) => tracing::warn!("the database does not answer, waiting for it"),
                Some(Err(error)) if error.is_transient() => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "waiting for the database");
                }
                Some(Err(error)) => return Err(error),
            }
            if stop.run_until_cancelled(sleep(PAUSE)).await.is_none() {
                return Ok(false);
            }
        }
    }
}

/// Until `stop`, brings those Sources up to date that a scheduler of an older version creates while this one
/// runs: during a rolling upgrade both do.
pub async fn keep_up(store: Store, stop: CancellationToken) {
    while stop.run_until_cancelled(sleep(KEEP_UP_EVERY)).await.is_some() {
        match timeout(MIGRATION_LIMIT, store.migrate_sources()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the tables of a Source are not up to date yet"
                );
            }
            Err(_) => tracing::warn!("the tables of a Source could not be brought up to date in time"),
        }
    }
}
