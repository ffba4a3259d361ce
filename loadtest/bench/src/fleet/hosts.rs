//! Source hosts: how many of the users each has, and how many connections it allows.

/// One host in so many is tight: it allows a single connection.
const ONE_TIGHT_IN: u32 = 10;
/// What a tight host takes with its one connection, as a part of the time that all places need. It also waits for its
/// turn before each migration, so with much more it would end last, and the run would measure that alone.
const TIGHT: f64 = 0.3;
/// The others allow so many times the connections that they need on average.
const GENEROUS: f64 = 10.0;
/// Least connections of these.
const LEAST: f64 = 2.0;

/// A source host.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Host {
    /// Its part of all users.
    pub(super) share: f64,
    /// `maxConnections`.
    pub(super) limit: u32,
}

/// So many hosts for a fleet that runs `places` migrations at a time: sizes fall as in a Zipf-Mandelbrot law, one
/// host in ten is small and tight.
pub(super) fn make(count: u32, places: u32) -> Vec<Host> {
    let places = f64::from(places);
    let offset = 1.0 + f64::from(count) / 10.0;
    let weight = |n: u32| (f64::from(n) + offset).recip();
    let tight_share = (TIGHT / places).min(f64::from(count).recip());
    let tight: f64 = (0..count).filter(|n| is_tight(*n)).map(|_| tight_share).sum();
    let others: f64 = (0..count).filter(|n| !is_tight(*n)).map(weight).sum();
    let host = |n| {
        if is_tight(n) {
            return Host { share: tight_share, limit: 1 };
        }
        let share = weight(n) / others * (1.0 - tight);
        Host { share, limit: connections(GENEROUS * places * share) }
    };
    (0..count).map(host).collect()
}

fn is_tight(n: u32) -> bool {
    n % ONE_TIGHT_IN == ONE_TIGHT_IN / 2
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few thousand at most")]
fn connections(wanted: f64) -> u32 {
    wanted.ceil().max(LEAST) as u32
}

/// Which host each of so many migrations belongs to when the hosts are filled to their limits evenly, one
/// connection of each after the other. Fewer than wanted where the hosts allow no more.
pub(super) fn spread(hosts: &[Host], wanted: usize) -> Vec<u32> {
    let most = hosts.iter().map(|host| host.limit).max().unwrap_or_default();
    let round = |n: u32| (0_u32..).zip(hosts).filter(move |(_, host)| host.limit > n).map(|(place, _)| place);
    (0..most).flat_map(round).take(wanted).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_all_of_the_users_and_large_hosts_allow_more() {
        for (count, places) in [(1_000, 1_000), (200, 100), (200, 3), (10, 500)] {
            let hosts = make(count, places);
            let sum: f64 = hosts.iter().map(|host| host.share).sum();
            assert!((sum - 1.0).abs() < 1e-9 && hosts.iter().all(|host| host.share > 0.0), "{sum}");
            assert!(hosts[0].limit >= hosts[hosts.len() - 1].limit);
            assert!(hosts.iter().map(|host| host.limit).sum::<u32>() >= places);
        }
    }

    #[test]
    fn a_tight_host_has_one_connection_and_little_to_do() {
        let hosts = make(1_000, 1_000);
        let tight: Vec<_> = hosts.iter().filter(|host| host.limit == 1).collect();
        assert_eq!(tight.len(), 100);
        assert!(tight.iter().all(|host| (host.share * 1_000.0 - TIGHT).abs() < 1e-9));
    }

    #[test]
    fn no_host_is_filled_beyond_its_limit() {
        let hosts = [(2, 0.5), (1, 0.3), (3, 0.2)].map(|(limit, share)| Host { share, limit });
        assert_eq!(spread(&hosts, 4), [0, 1, 2, 0]);
        assert_eq!(spread(&hosts, 100), [0, 1, 2, 0, 2, 2]);
    }
}
