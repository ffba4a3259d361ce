//! Records with what is known of those that run: how far they have come.

use std::{collections::BTreeMap, time::Duration};

use dmf_shared::{
    domain::{
        ids::{JobId, JournalId},
        migration::Status,
    },
    queue::Progress,
    store::{self, Source},
};
use futures::future::join_all;

use crate::{
    api::{record::Record, v1},
    app::App,
};

/// Longest time that an answer waits for Redis: without it, the records are shown without progress.
const PATIENCE: Duration = Duration::from_millis(300);

/// These records as JSON, each running one with its `progress` where a worker has told it.
pub(super) async fn show_all(app: &App, source: &Source, records: &[store::Record]) -> Vec<Record> {
    // v1 has no such field.
    let told = if v1::prints_nulls() { BTreeMap::new() } else { ask(app, source, records).await };
    let show = |found: &store::Record| {
        let progress = told.get(&found.id).filter(|progress| progress.epoch == found.epoch);
        Record::from(found).with_progress(progress)
    };
    records.iter().map(show).collect()
}

/// One record.
pub(super) async fn show(app: &App, source: &Source, record: store::Record) -> Record {
    let told = show_all(app, source, std::slice::from_ref(&record)).await.pop();
    told.unwrap_or_else(|| Record::from(&record))
}

async fn ask(app: &App, source: &Source, records: &[store::Record]) -> BTreeMap<JournalId, Progress> {
    let mut running: BTreeMap<&str, Vec<JobId>> = BTreeMap::new();
    for record in records.iter().filter(|record| record.status == Status::Sync) {
        if let Some(worker) = &record.backend {
            running.entry(worker).or_default().push(JobId { source: source.id, journal: record.id });
        }
    }
    let asked = running.into_iter().map(async |(worker, jobs)| {
        let answer = tokio::time::timeout(PATIENCE, app.queue.progress(worker, &jobs)).await;
        let told = answer.ok().and_then(Result::ok).unwrap_or_default();
        jobs.into_iter().map(|job| job.journal).zip(told).collect::<Vec<_>>()
    });
    let told = join_all(asked).await.into_iter().flatten();
    told.filter_map(|(journal, progress)| Some((journal, progress?))).collect()
}
