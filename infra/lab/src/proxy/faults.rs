use std::time::Duration;

use tokio::sync::watch;

/// What is wrong with the line at the moment. The default is a healthy one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Faults {
    /// Added to each round trip.
    pub(super) latency: Duration,
    /// Bytes a second, each way.
    pub(super) rate: Option<u64>,
    /// Nothing is forwarded.
    pub(super) stall: bool,
    /// New connections get no answer.
    pub(super) hang: bool,
    /// All connections are reset, new ones refused.
    pub(super) cut: bool,
    /// A connection is reset after so many bytes from the server.
    pub(super) cut_after: Option<u64>,
}

/// Waits for a cut; for ever when the proxy is being dropped, because its tasks are ended then.
pub(super) async fn until_cut(mut faults: watch::Receiver<Faults>) {
    if faults.wait_for(|f| f.cut).await.is_err() {
        std::future::pending::<()>().await;
    }
}
