//! Progress of what runs: told to Redis every second in one call, for whoever looks at a record meanwhile.

use std::{sync::Arc, time::Duration};

use dmf_shared::{domain::ids::JobId, queue::Progress};
use tokio_util::sync::CancellationToken;

use crate::lessor::Claimant;

/// Time between two reports, and the longest that one may take.
const EVERY: Duration = Duration::from_secs(1);

/// Reports until `stop`. Nothing depends on it: what Redis does not hear is not shown.
pub async fn report(claimant: Arc<Claimant>, stop: CancellationToken) {
    let mut interval = tokio::time::interval(EVERY);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut told_nothing = true;
    loop {
        tokio::select! {
            _ = interval.tick() => {}
            () = stop.cancelled() => return,
        }
        let running = running(&claimant);
        if running.is_empty() && told_nothing {
            continue;
        }
        let report = claimant.queue.report_progress(&claimant.holder.name, &running);
        match tokio::time::timeout(EVERY, report).await {
            Ok(Ok(())) => told_nothing = running.is_empty(),
            Ok(Err(error)) => {
                tracing::debug!(error = &error as &dyn std::error::Error, "no progress was told");
            }
            Err(_) => tracing::debug!("no progress was told in time"),
        }
    }
}

fn running(claimant: &Claimant) -> Vec<(JobId, Progress)> {
    let held = claimant.table.all();
    held.iter().filter_map(|held| Some((held.claimed.job, held.progress()?))).collect()
}
