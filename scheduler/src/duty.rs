//! What the duties of a scheduler share: none of them waits for a store without end.

use std::{future::Future, time::Duration};

/// How long one batch of a duty may take. What it holds goes back with its connection then, and another
/// scheduler, or the next try, does it.
const LIMIT: Duration = Duration::from_secs(30);

/// A batch that was not done in time.
#[derive(Debug, thiserror::Error)]
#[error("the stores did not answer within {} s", LIMIT.as_secs())]
pub struct TookTooLong;

/// Does a batch in the time that it may take.
pub async fn in_time<T, E: From<TookTooLong>>(batch: impl Future<Output = Result<T, E>>) -> Result<T, E> {
    tokio::time::timeout(LIMIT, batch).await.unwrap_or_else(|_| Err(TookTooLong.into()))
}
