//! What can go wrong with Redis.

use redis::RedisError;

/// Result of every call of the queue.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failed call of the queue. `Display` never holds a password or an address.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Redis can't be reached or did not answer in time; the call may have been carried out.
    #[error("the queue is unavailable")]
    Unavailable(#[source] RedisError),
    /// No Sentinel has said yet where the master is.
    #[error("no Sentinel has said yet where the queue's server is")]
    MasterUnknown,
    /// No answer within the deadline; the call may have been carried out.
    #[error("the queue did not answer in time")]
    TimedOut,
    /// Redis did as told, but no replica has heard of it: it may have been split off from them.
    #[error("no replica of the queue's server has heard of the call")]
    Unreplicated,
    /// Redis has lost the queues, or they are being rebuilt.
    #[error("the queue has to be rebuilt first")]
    Rebuild,
    /// The settings for Redis are wrong.
    #[error("invalid settings for the queue")]
    Settings(#[source] RedisError),
    /// Redis refused a script: a fault in this program, or memory is full.
    #[error("the queue refused a call")]
    Refused(#[source] RedisError),
    /// A script answered something else than its header says.
    #[error("the queue gave an answer that can't be read")]
    Inconsistent,
}

impl From<RedisError> for Error {
    fn from(error: RedisError) -> Self {
        let lost = error.is_io_error()
            || error.is_timeout()
            || error.is_connection_dropped()
            || error.is_connection_refusal()
            || error.is_unrecoverable_error();
        let waits = error.code().is_some_and(|code| {
            ["LOADING", "BUSY", "READONLY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "NOREPLICAS"]
                .contains(&code)
        });
        if lost || waits { Self::Unavailable(error) } else { Self::Refused(error) }
    }
}
