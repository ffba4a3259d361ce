//! Whether a store answers, asked for all the time: an alert must not wait for somebody to need the store.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

/// Time between two questions.
const EVERY: Duration = Duration::from_secs(5);
/// A store that takes longer to answer counts as away.
const LIMIT: Duration = Duration::from_secs(3);

/// Shows until `stop` whether the store of this name answers: `dmf.store.up`.
pub async fn watch_store(name: &'static str, ask: impl AsyncFn() -> bool, stop: CancellationToken) {
    // From the start: who watches errors sees the first one then.
    metrics::counter!("dmf.store.errors", "store" => name).increment(0);
    loop {
        let answered = tokio::time::timeout(LIMIT, ask()).await.unwrap_or(false);
        metrics::gauge!("dmf.store.up", "store" => name).set(if answered { 1.0 } else { 0.0 });
        if stop.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_none() {
            return;
        }
    }
}
