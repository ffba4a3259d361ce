//! Processes that SIGKILL does not end at once: stuck in the kernel, on a file server that is away.

use std::time::Duration;

use super::Runner;
use crate::held::Held;

/// Pause between two looks.
const PAUSE: Duration = Duration::from_secs(5);

impl Runner {
    /// Keeps the lease until the last process of the migration is gone, so that nobody else starts. `false`
    /// when this worker ends before: its successor looks again.
    pub(super) async fn outlive(&self, held: &Held) -> bool {
        tracing::error!(
            "processes of this migration survive SIGKILL, so its lease is kept until they are gone"
        );
        while self.supervisor.strike(&held.name()) > 0 {
            if self.claimant.table.is_draining() {
                return false;
            }
            tokio::time::sleep(PAUSE).await;
        }
        tracing::warn!("the processes that survived SIGKILL are gone");
        true
    }
}
