//! Guessing of credentials: wrong ones are counted by the address that they come from.

use std::{
    collections::HashMap,
    fmt,
    net::{IpAddr, Ipv6Addr},
    num::NonZeroU32,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter, clock::Clock as _};

use crate::config::Reader;

/// Most addresses that are told apart; beyond, the new ones share one allowance.
const ADDRESSES: usize = 10_000;
/// Most addresses that are remembered as the admin's.
const PROVEN: usize = 1_000;
/// Shortest time between two searches for addresses that need not be told apart any more.
const SWEEP_PAUSE: Duration = Duration::from_secs(1);

/// The address of all who are not told apart.
const OTHERS: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);

/// Wrong credentials so far. Every process counts for itself.
pub struct Guesses {
    per_minute: Option<NonZeroU32>,
    wrong: Option<DefaultKeyedRateLimiter<IpAddr>>,
    addresses: Mutex<Addresses>,
}

/// What is known of addresses.
#[derive(Default)]
struct Addresses {
    /// Who was wrong too often, and until when: at most as many as are told apart.
    barred: HashMap<IpAddr, Instant>,
    /// Where the admin's credentials came from, and when last.
    proven: HashMap<IpAddr, Instant>,
    swept: Option<Instant>,
}

impl fmt::Debug for Guesses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guesses").field("per_minute", &self.per_minute).finish_non_exhaustive()
    }
}

/// Too many requests; the next one is heard after this time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooMany(pub Duration);

/// Reads how many wrong credentials a minute may come from one address; none is no limit.
pub fn read_limit(reader: &mut Reader<'_>) -> Option<NonZeroU32> {
    NonZeroU32::new(reader.number("dmf.http.rate-limit.wrong-credentials-per-minute", 30, 0..=1_000_000))
}

impl Guesses {
    /// None so far; as many a minute from one address, and as many at once.
    pub fn new(per_minute: Option<NonZeroU32>) -> Self {
        Self {
            per_minute,
            wrong: per_minute.map(|limit| RateLimiter::keyed(Quota::per_minute(limit))),
            addresses: Mutex::default(),
        }
    }

    /// Whether the admin's credentials, which are right, are heard from this address. After too many wrong
    /// ones they are not, or whoever guesses could go on; but where they were right before, they are: behind
    /// a load balancer one client's mistakes would shut out the admin.
    pub fn admit_admin(&self, address: Option<IpAddr>) -> Result<(), TooMany> {
        let Some(address) = address.map(network) else { return Ok(()) };
        let now = Instant::now();
        let mut addresses = self.lock_addresses();
        let is_proven = addresses.proven.contains_key(&address);
        match addresses.barred.get(&address) {
            Some(until) if !is_proven && *until > now => return Err(TooMany(*until - now)),
            _ => {}
        }
        if !is_proven && addresses.proven.len() >= PROVEN {
            let oldest = addresses.proven.iter().min_by_key(|(_, last)| **last).map(|(address, _)| *address);
            oldest.map(|oldest| addresses.proven.remove(&oldest));
        }
        addresses.proven.insert(address, now);
        Ok(())
    }

    /// Counts wrong credentials from this address.
    pub fn count_wrong(&self, address: Option<IpAddr>) -> Result<(), TooMany> {
        let (Some(limiter), Some(address)) = (&self.wrong, address) else { return Ok(()) };
        let mut address = network(address);
        if limiter.len() >= ADDRESSES {
            self.forget_harmless(limiter);
            if limiter.len() >= ADDRESSES {
                address = OTHERS;
            }
        }
        limiter.check_key(&address).map_err(|until| {
            let wait = until.wait_time_from(limiter.clock().now());
            if address != OTHERS {
                self.lock_addresses().barred.insert(address, Instant::now() + wait);
            }
            TooMany(wait)
        })
    }

    /// Makes room for new addresses, unless it has just been tried: it looks at all of them.
    fn forget_harmless(&self, limiter: &DefaultKeyedRateLimiter<IpAddr>) {
        let now = Instant::now();
        let mut addresses = self.lock_addresses();
        if addresses.swept.is_some_and(|swept| now - swept < SWEEP_PAUSE) {
            return;
        }
        addresses.swept = Some(now);
        // Each of them is known to the limiter, too, and for longer.
        addresses.barred.retain(|_, until| *until > now);
        drop(addresses);
        limiter.retain_recent();
        limiter.shrink_to_fit();
    }

    fn lock_addresses(&self) -> MutexGuard<'_, Addresses> {
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner)
    }
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

    fn guesses(per_minute: u32) -> Guesses {
        Guesses::new(NonZeroU32::new(per_minute))
    }

    #[test]
    fn who_was_wrong_too_often_is_not_heard_any_more() {
        let guesses = guesses(2);
        let (one, other): (IpAddr, IpAddr) = (Ipv4Addr::new(1, 2, 3, 4).into(), Ipv4Addr::LOCALHOST.into());
        for _ in 0..2 {
            assert!(guesses.count_wrong(Some(one)).is_ok());
        }
        let TooMany(wait) = guesses.count_wrong(Some(one)).unwrap_err();
        assert!(wait <= Duration::from_secs(30));
        assert!(guesses.admit_admin(Some(one)).is_err());
        assert!(guesses.admit_admin(Some(other)).is_ok() && guesses.admit_admin(None).is_ok());
    }

    #[test]
    fn the_admin_is_heard_where_it_was_right_before() {
        let guesses = guesses(1);
        let address = Some(Ipv4Addr::LOCALHOST.into());
        assert!(guesses.admit_admin(address).is_ok());
        assert!(guesses.count_wrong(address).is_ok() && guesses.count_wrong(address).is_err());
        assert!(guesses.admit_admin(address).is_ok());
        for number in 0..=u32::try_from(PROVEN).unwrap() {
            assert!(guesses.admit_admin(Some(Ipv4Addr::from_bits(number).into())).is_ok());
        }
        assert_eq!(guesses.lock_addresses().proven.len(), PROVEN);
        assert!(guesses.admit_admin(address).is_err());
    }

    #[test]
    fn all_addresses_of_one_client_count_together() {
        let guesses = guesses(1);
        assert!(guesses.count_wrong(Some("2001:db8::1".parse().unwrap())).is_ok());
        assert!(guesses.count_wrong(Some("2001:db8::2".parse().unwrap())).is_err());
        assert!(guesses.admit_admin(Some("2001:db8::3".parse().unwrap())).is_err());
        assert!(guesses.admit_admin(Some("2001:db8:0:1::3".parse().unwrap())).is_ok());
    }

    #[test]
    fn many_addresses_take_no_more_than_their_share_of_memory() {
        let guesses = guesses(1);
        for number in 0..3 * ADDRESSES {
            let address = Ipv4Addr::from_bits(u32::try_from(number).unwrap());
            let _ = guesses.count_wrong(Some(address.into()));
            let _ = guesses.count_wrong(Some(address.into()));
        }
        assert!(guesses.wrong.as_ref().unwrap().len() <= ADDRESSES + 1);
        assert!(guesses.lock_addresses().barred.len() <= ADDRESSES);
        // New ones share one allowance, which is used up; whose credentials are right is heard all the same.
        let other = Some(Ipv4Addr::BROADCAST.into());
        assert!(guesses.count_wrong(other).is_err());
        assert!(guesses.admit_admin(other).is_ok());
    }

    #[test]
    fn those_whose_time_is_over_make_room() {
        let guesses = guesses(1_000_000);
        for number in 0..3 * ADDRESSES {
            let address = Ipv4Addr::from_bits(u32::try_from(number).unwrap());
            assert!(guesses.count_wrong(Some(address.into())).is_ok());
            guesses.lock_addresses().swept = None;
        }
        assert!(guesses.wrong.as_ref().unwrap().len() <= ADDRESSES);
    }
}
