//! What apalis brings for Redis, woken through Pub/Sub, with batches as large as its concurrency.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use apalis::prelude::{BoxDynError, Data, WorkerBuilder, WorkerBuilderExt as _, WorkerError};
use apalis_core::backend::TaskSink as _;
use apalis_redis::{Client, Config, ConnectionManager, RedisStorage, factory::RedisStorageFactory};
use futures::FutureExt as _;
use serde::{Deserialize, Serialize};

use super::{Job, Produce, Settings, host_of, say_ready};

/// The version that `Cargo.lock` has.
pub(super) const VERSION: &str = "1.0.0";
/// Jobs that are pushed at a time.
const BATCH: u64 = 500;

/// What every contestant carries.
#[derive(Debug, Serialize, Deserialize)]
struct Payload {
    id: u64,
    key: u32,
}

fn config(settings: &Settings) -> Result<Config> {
    Ok(Config::default()
        .queue("jobs")
        .batch_size(usize::try_from(settings.concurrency)?)
        .persist_results(false))
}

/// Pushes jobs.
#[derive(Debug)]
pub(super) struct Filler {
    storage: RedisStorage<Payload, ConnectionManager>,
    settings: Settings,
}

impl Filler {
    pub(super) async fn new(settings: &Settings) -> Result<Self> {
        let connection = apalis_redis::connect(settings.redis.as_str()).await?;
        let storage = RedisStorage::new(connection).with_config(config(settings)?);
        Ok(Self { storage, settings: settings.clone() })
    }

    fn payload(&self, id: u64) -> Result<Payload> {
        Ok(Payload { id, key: host_of(&self.settings, id)? })
    }
}

impl Produce for Filler {
    async fn one(&self, id: u64) -> Result<()> {
        let pushed = self.storage.clone().push(self.payload(id)?).await;
        pushed.map_err(|error| anyhow!("{error}"))
    }

    async fn fill(&self, first: u64, count: u64, limit: Duration) -> Result<u64> {
        let begun = Instant::now();
        let mut storage = self.storage.clone();
        let mut filled = 0;
        while filled < count && begun.elapsed() < limit {
            let batch = BATCH.min(count - filled);
            let ids = first + filled..first + filled + batch;
            let payloads = ids.map(|id| self.payload(id)).collect::<Result<Vec<_>>>()?;
            storage.push_bulk(payloads).await.map_err(|error| anyhow!("{error}"))?;
            filled += batch;
        }
        Ok(filled)
    }
}

async fn handle(payload: Payload, job: Data<Arc<Job>>) -> Result<(), BoxDynError> {
    job.run(payload.id).await?;
    Ok(())
}

/// Works until `end`.
pub(super) async fn work(settings: &Settings, end: impl Future<Output = ()> + Send + 'static) -> Result<()> {
    let mut factory =
        RedisStorageFactory::new(Client::open(format!("{}?protocol=resp3", settings.redis))?).await?;
    let storage =
        apalis::prelude::BackendFactory::<Payload>::create_with_config(&mut factory, config(settings)?)?;
    let worker = WorkerBuilder::new("worker")
        .backend(storage)
        .data(Arc::new(Job::new(settings)?))
        .concurrency(usize::try_from(settings.concurrency)?)
        .build(handle);
    say_ready(VERSION);
    let stop = async move {
        end.await;
        Ok::<(), WorkerError>(())
    };
    Ok(worker.run_until(stop).boxed().await?)
}
