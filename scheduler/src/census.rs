//! The census: what waits and what runs, as gauges. Every scheduler takes it, so that any of them can be asked;
//! what it reads grows with the number of source hosts, not with the backlog.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use dmf_shared::{
    domain::ids::{HostId, TargetId},
    ops::Metrics,
    queue::{self, Depth, Queue},
    store::{self, Store},
};
use metrics::Key;
use tokio_util::sync::CancellationToken;

use crate::duty::{TookTooLong, in_time};

/// Time between two of them.
const EVERY: Duration = Duration::from_secs(10);

/// Why a census could not be taken; the gauges keep their values.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// MariaDB failed.
    #[error("the database can't be asked")]
    Store(#[from] store::Error),
    /// Redis failed.
    #[error("the queue can't be asked")]
    Queue(#[from] queue::Error),
    /// One of them did not answer.
    #[error(transparent)]
    Late(#[from] TookTooLong),
}

/// Gauges whose subjects come and go.
#[derive(Debug)]
pub struct Census {
    metrics: Metrics,
    shown: BTreeSet<Key>,
}

/// Name, labels, value.
type Reading = (&'static str, Vec<(&'static str, String)>, f64);

/// Takes the census until `stop`.
pub async fn run(store: Store, queue: Queue, metrics: Metrics, stop: CancellationToken) {
    let mut census = Census::new(metrics);
    loop {
        if let Err(error) = in_time(census.take(&store, &queue)).await {
            tracing::debug!(error = &error as &dyn std::error::Error, "no census");
        }
        if stop.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_none() {
            return;
        }
    }
}

impl Census {
    /// Nothing was shown yet.
    pub fn new(metrics: Metrics) -> Self {
        Self { metrics, shown: BTreeSet::new() }
    }

    /// Shows everything as of now, and no more of what is gone.
    pub async fn take(&mut self, store: &Store, queue: &Queue) -> Result<(), Error> {
        store.show_pool();
        let mut readings = hosts(store).await?;
        readings.extend(backlog(store, queue).await?);
        let mut shown = BTreeSet::new();
        for (name, labels, value) in readings {
            metrics::gauge!(name, &labels).set(value);
            let labels: Vec<metrics::Label> =
                labels.into_iter().map(|(name, value)| metrics::Label::new(name, value)).collect();
            shown.insert(Key::from_parts(name, labels));
        }
        for gone in self.shown.difference(&shown) {
            self.metrics.forget_gauge(gone);
        }
        self.shown = shown;
        Ok(())
    }
}

async fn hosts(store: &Store) -> Result<Vec<Reading>, Error> {
    let hosts = store.host_figures().await?;
    let readings = hosts.into_iter().flat_map(|figures| {
        let labels = vec![("source", figures.source), ("host", figures.host)];
        [
            ("dmf.hosts.limit", labels.clone(), f64::from(figures.limit)),
            ("dmf.hosts.running", labels.clone(), count(figures.running)),
            ("dmf.hosts.suspended", labels, f64::from(u8::from(figures.suspended))),
        ]
    });
    Ok(readings.collect())
}

async fn backlog(store: &Store, queue: &Queue) -> Result<Vec<Reading>, Error> {
    let targets: BTreeMap<TargetId, String> =
        store.targets().await?.into_iter().map(|target| (target.id, target.name)).collect();
    let hosts: Vec<HostId> = store.all_hosts().await?.iter().map(|host| host.host).collect();
    let depths = queue.depths(&hosts).await?;
    let ids: Vec<TargetId> = targets.keys().copied().collect();
    let delayed = queue.delayed(&ids).await?;
    let heads: Vec<_> = depths.iter().filter_map(|depth| depth.first).collect();
    let waiting = store.waiting_secs(&heads).await?;
    let mut readings = Vec::new();
    for ((id, target), delayed) in targets.into_iter().zip(delayed) {
        let own: Vec<&Depth> = depths.iter().filter(|depth| depth.target == id).collect();
        let jobs =
            |priority| own.iter().filter(|depth| depth.priority == priority).map(|depth| depth.jobs).sum();
        let kinds = [("priority", jobs(true)), ("normal", jobs(false)), ("delayed", delayed)];
        readings.extend(kinds.map(|(kind, jobs)| {
            let labels = vec![("target", target.clone()), ("priority", kind.to_owned())];
            ("dmf.queue.depth", labels, count(jobs))
        }));
        let ages = own.iter().filter_map(|depth| waiting.get(&depth.first?)).copied();
        readings.push(("dmf.queue.oldest.age", vec![("target", target)], ages.fold(0.0, f64::max)));
    }
    Ok(readings)
}

/// Exact below 2^53.
#[allow(clippy::cast_precision_loss, reason = "a measurement needs no more digits")]
fn count(n: u64) -> f64 {
    n as f64
}
