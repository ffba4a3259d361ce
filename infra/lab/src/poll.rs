use std::fmt::Display;
use std::time::{Duration, Instant};

use crate::error::{Error, Result};

const INTERVAL: Duration = Duration::from_millis(5);

/// Looks again and again until `look` returns `Ok`, and gives that back.
///
/// `what` says what is waited for as "X did not Y"; an `Err` of `look` says what was seen instead.
///
/// # Errors
/// [`Error::Deadline`] with what was seen last.
pub async fn poll_until<T, S: Display>(
    what: &str,
    deadline: Duration,
    mut look: impl AsyncFnMut() -> Result<T, S>,
) -> Result<T> {
    let end = Instant::now() + deadline;
    loop {
        match look().await {
            Ok(found) => return Ok(found),
            Err(seen) if Instant::now() > end => {
                return Err(Error::Deadline {
                    what: what.into(),
                    secs: deadline.as_secs(),
                    seen: seen.to_string(),
                });
            }
            Err(_) => tokio::time::sleep(INTERVAL).await,
        }
    }
}
