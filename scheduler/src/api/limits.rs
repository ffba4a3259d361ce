//! Limits of requests: of each API key, and of wrong credentials by each address.

use std::{
    collections::HashMap,
    fmt,
    net::IpAddr,
    num::NonZeroU32,
    sync::{Arc, Mutex, PoisonError},
};

use dmf_shared::domain::ids::SourceId;
use dmf_shared::ops::http::Guesses;
pub use dmf_shared::ops::http::TooMany;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter, clock::Clock as _};

/// How much is allowed; none is no limit.
#[derive(Debug, Clone, Copy, Default)]
pub struct Settings {
    /// Requests a second of one API key, and as many at once.
    pub requests_per_second: Option<NonZeroU32>,
    /// Requests with wrong credentials a minute from one address, and as many at once.
    pub wrong_per_minute: Option<NonZeroU32>,
}

/// The allowance of one key with the limit that it was made for.
type OfKey = (NonZeroU32, Arc<DefaultDirectRateLimiter>);

/// What each may still do. Every scheduler counts for itself.
pub struct RateLimits {
    settings: Settings,
    /// As many as there are Sources.
    keys: Mutex<HashMap<SourceId, OfKey>>,
    guesses: Guesses,
}

impl fmt::Debug for RateLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimits").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl RateLimits {
    /// With nothing used up.
    pub fn new(settings: Settings) -> Self {
        Self { settings, keys: Mutex::default(), guesses: Guesses::new(settings.wrong_per_minute) }
    }

    /// Counts a request of a Source's key, whose own limit is `own` (0 is none).
    pub fn count(&self, source: SourceId, own: Option<u32>) -> Result<(), TooMany> {
        let limit = own.map_or(self.settings.requests_per_second, NonZeroU32::new);
        let Some(limit) = limit else { return Ok(()) };
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let allowance = keys
            .entry(source)
            .and_modify(|entry| {
                if entry.0 != limit {
                    *entry = of_key(limit);
                }
            })
            .or_insert_with(|| of_key(limit));
        let limiter = Arc::clone(&allowance.1);
        drop(keys);
        limiter.check().map_err(|until| TooMany(until.wait_time_from(limiter.clock().now())))
    }

    /// As [`Guesses::admit_admin`].
    pub fn admit_admin(&self, address: Option<IpAddr>) -> Result<(), TooMany> {
        self.guesses.admit_admin(address)
    }

    /// As [`Guesses::count_wrong`].
    pub fn count_wrong(&self, address: Option<IpAddr>) -> Result<(), TooMany> {
        self.guesses.count_wrong(address)
    }
}

fn of_key(limit: NonZeroU32) -> OfKey {
    (limit, Arc::new(RateLimiter::direct(Quota::per_second(limit))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_has_an_allowance_of_its_own_size() {
        let limits =
            RateLimits::new(Settings { requests_per_second: NonZeroU32::new(1), wrong_per_minute: None });
        assert!(limits.count(SourceId(1), None).is_ok() && limits.count(SourceId(1), None).is_err());
        assert!(limits.count(SourceId(2), None).is_ok());
        for _ in 0..100 {
            assert!(
                limits.count(SourceId(3), Some(0)).is_ok() && limits.count(SourceId(4), Some(1000)).is_ok()
            );
        }
        // Another limit begins anew.
        assert!(limits.count(SourceId(1), Some(2)).is_ok());
    }
}
