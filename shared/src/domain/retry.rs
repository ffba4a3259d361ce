//! How often and how fast something is tried again.

use std::time::Duration;

/// Retries with a bounded, jittered, exponential delay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// How many attempts there are in all, the first one included; at least 1.
    pub attempts: u32,
    /// The delay after the first failed attempt.
    pub delay: Duration,
    /// No delay is longer than this.
    pub max_delay: Duration,
    /// By how much a delay may be lengthened at random, in percent.
    pub jitter_percent: u32,
    /// What each further delay is multiplied with; 1 keeps it the same.
    pub factor: u32,
}

impl RetryPolicy {
    /// The delay after the attempt number `attempt` (from 1), or `None` when it was the last.
    /// `random` is a number from 0 to 1.
    pub fn delay_after(&self, attempt: u32, random: f64) -> Option<Duration> {
        if attempt >= self.attempts {
            return None;
        }
        let factor = self.factor.checked_pow(attempt.saturating_sub(1)).unwrap_or(u32::MAX);
        let delay = self.delay.checked_mul(factor).unwrap_or(self.max_delay).min(self.max_delay);
        let jitter = delay.mul_f64(f64::from(self.jitter_percent) / 100.0 * random.clamp(0.0, 1.0));
        Some((delay + jitter).min(self.max_delay))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: RetryPolicy = RetryPolicy {
        attempts: 5,
        delay: Duration::from_secs(15),
        max_delay: Duration::from_mins(1),
        jitter_percent: 10,
        factor: 2,
    };

    #[test]
    fn ends_after_the_last_attempt_and_never_exceeds_the_longest_delay() {
        assert_eq!(POLICY.delay_after(1, 0.0), Some(Duration::from_secs(15)));
        assert_eq!(POLICY.delay_after(2, 0.0), Some(Duration::from_secs(30)));
        assert_eq!(POLICY.delay_after(4, 1.0), Some(Duration::from_mins(1)));
        assert_eq!(POLICY.delay_after(5, 0.0), None);
        let endless = RetryPolicy { attempts: u32::MAX, ..POLICY };
        assert_eq!(endless.delay_after(1_000_000, 1.0), Some(Duration::from_mins(1)));
    }

    #[test]
    fn jitter_only_lengthens() {
        assert_eq!(POLICY.delay_after(1, 1.0), Some(Duration::from_millis(16_500)));
    }
}
