//! Limits of requests: of each API key, and of wrong credentials by each address.

use std::{
    collections::HashMap,
    fmt,
    net::{IpAddr, Ipv6Addr},
    num::NonZeroU32,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use dmf_shared::domain::ids::SourceId;
use governor::{DefaultDirectRateLimiter, DefaultKeyedRateLimiter, Quota, RateLimiter, clock::Clock as _};

/// How much is allowed; none is no limit.
#[derive(Debug, Clone, Copy, Default)]
pub struct Settings {
    /// Requests a second of one API key, and as many at once.
    pub requests_per_second: Option<NonZeroU32>,
    /// Requests with wrong credentials a minute from one address, and as many at once.
    pub wrong_per_minute: Option<NonZeroU32>,
}

/// Most addresses that are told apart; beyond, the new ones share one allowance.
const ADDRESSES: usize = 10_000;

/// The address of all who are not told apart.
const OTHERS: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);

/// The allowance of one key with the limit that it was made for.
type OfKey = (NonZeroU32, Arc<DefaultDirectRateLimiter>);

/// What each may still do. Every scheduler counts for itself.
pub struct RateLimits {
    settings: Settings,
    /// As many as there are Sources.
    keys: Mutex<HashMap<SourceId, OfKey>>,
    wrong: Option<DefaultKeyedRateLimiter<IpAddr>>,
    /// Who is not heard before a time: at most as many as are told apart.
    barred: Mutex<HashMap<IpAddr, Instant>>,
}

impl fmt::Debug for RateLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimits").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// Too many requests; the next one is heard after this time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooMany(pub Duration);

impl RateLimits {
    /// With nothing used up.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            keys: Mutex::default(),
            wrong: settings.wrong_per_minute.map(|limit| RateLimiter::keyed(Quota::per_minute(limit))),
            barred: Mutex::default(),
        }
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

    /// Whether this address has to wait, because too many of its credentials were wrong. Right ones are not
    /// heard either: otherwise whoever guesses could go on guessing.
    pub fn admit(&self, address: Option<IpAddr>) -> Result<(), TooMany> {
        let Some(address) = address else { return Ok(()) };
        let mut barred = self.barred.lock().unwrap_or_else(PoisonError::into_inner);
        if barred.is_empty() {
            return Ok(());
        }
        let (address, now) = (network(address), Instant::now());
        let until = barred.get(&address).or_else(|| barred.get(&OTHERS)).copied();
        match until {
            Some(until) if until > now => Err(TooMany(until - now)),
            Some(_) => {
                barred.retain(|_, until| *until > now);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Counts wrong credentials from this address.
    pub fn count_wrong(&self, address: Option<IpAddr>) -> Result<(), TooMany> {
        let (Some(limiter), Some(address)) = (&self.wrong, address) else { return Ok(()) };
        let mut address = network(address);
        if limiter.len() >= ADDRESSES {
            limiter.retain_recent();
            limiter.shrink_to_fit();
            if limiter.len() >= ADDRESSES {
                address = OTHERS;
            }
        }
        limiter.check_key(&address).map_err(|until| {
            let wait = until.wait_time_from(limiter.clock().now());
            let mut barred = self.barred.lock().unwrap_or_else(PoisonError::into_inner);
            if barred.len() < ADDRESSES || address == OTHERS {
                barred.insert(address, Instant::now() + wait);
            }
            TooMany(wait)
        })
    }
}

fn of_key(limit: NonZeroU32) -> OfKey {
    (limit, Arc::new(RateLimiter::direct(Quota::per_second(limit))))
}

/// One client has a whole /64 of IPv6 addresses.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn limits(requests: u32, wrong: u32) -> RateLimits {
        RateLimits::new(Settings {
            requests_per_second: NonZeroU32::new(requests),
            wrong_per_minute: NonZeroU32::new(wrong),
        })
    }

    #[test]
    fn each_key_has_an_allowance_of_its_own_size() {
        let limits = limits(1, 0);
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

    #[test]
    fn who_was_wrong_too_often_is_not_heard_any_more() {
        let limits = limits(0, 2);
        let (one, other): (IpAddr, IpAddr) = (Ipv4Addr::new(1, 2, 3, 4).into(), Ipv4Addr::LOCALHOST.into());
        for _ in 0..2 {
            assert!(limits.admit(Some(one)).is_ok() && limits.count_wrong(Some(one)).is_ok());
        }
        let TooMany(wait) = limits.count_wrong(Some(one)).unwrap_err();
        assert!(wait <= Duration::from_secs(30));
        assert!(limits.admit(Some(one)).is_err());
        assert!(limits.admit(Some(other)).is_ok() && limits.admit(None).is_ok());
    }

    #[test]
    fn all_addresses_of_one_client_count_together() {
        let limits = limits(0, 1);
        assert!(limits.count_wrong(Some("2001:db8::1".parse().unwrap())).is_ok());
        assert!(limits.count_wrong(Some("2001:db8::2".parse().unwrap())).is_err());
        assert!(limits.admit(Some("2001:db8::3".parse().unwrap())).is_err());
        assert!(limits.admit(Some("2001:db8:0:1::3".parse().unwrap())).is_ok());
    }

    #[test]
    fn many_addresses_take_no_more_than_their_share_of_memory() {
        let limits = limits(0, 1);
        for number in 0..3 * ADDRESSES {
            let address = Ipv4Addr::from_bits(u32::try_from(number).unwrap());
            let _ = limits.count_wrong(Some(address.into()));
        }
        assert!(limits.wrong.as_ref().unwrap().len() <= ADDRESSES + 1);
        assert!(limits.barred.lock().unwrap().len() <= ADDRESSES);
        // New ones share one allowance, which is used up.
        assert!(limits.count_wrong(Some(Ipv4Addr::BROADCAST.into())).is_err());
    }
}
