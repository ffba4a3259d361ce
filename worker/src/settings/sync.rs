//! `dmf.worker.sync`, `.count`, `.verification`, `.target-not-empty`: how a mailbox is copied and checked.

use std::time::Duration;

use dmf_shared::{config::Reader, domain::retry::RetryPolicy};

use super::DAY;

/// `dmf.worker.sync`
#[derive(Debug, Clone, Copy)]
pub struct SyncSettings {
    /// Longest time of one migration.
    pub timeout: Duration,
    /// Longest time of one count.
    pub count_timeout: Duration,
    /// Retries of temporary failures.
    pub retry: RetryPolicy,
    /// A pause between attempts that is longer gives the slot back meanwhile.
    pub slot_hold: Duration,
    /// A migration that circles between queue and worker for so long is a FAILURE.
    pub max_age: Duration,
    /// What the comparison of source and target means.
    pub verification: Verification,
    /// Whether mail on the target that this framework did not put there is overwritten.
    pub overwrite_target: bool,
}

/// `dmf.worker.verification`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verification {
    /// A CUTOVER that does not match is a FAILURE.
    Gate,
    /// It is reported and changes nothing.
    ReportOnly,
    /// It is not made.
    Off,
}

/// `dmf.worker.count`
#[derive(Debug, Clone, Copy)]
pub struct CountSettings {
    /// Counts the target's mailboxes before the sync.
    pub local_pre: bool,
    /// Counts them after it.
    pub local_post: bool,
    /// Counts the source's mailboxes.
    pub remote: bool,
}

impl SyncSettings {
    /// Reads them.
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        let secs = Duration::from_secs;
        let delay = reader.duration("dmf.worker.sync.retry.delay", secs(15), Duration::ZERO..=DAY);
        Self {
            timeout: reader.duration("dmf.worker.sync.timeout", DAY, secs(1)..=DAY * 30),
            count_timeout: reader.duration("dmf.worker.count.timeout", secs(3600), secs(1)..=DAY),
            retry: RetryPolicy {
                attempts: reader.number("dmf.worker.sync.retry.attempts", 5, 1..=1000),
                delay,
                max_delay: reader.duration(
                    "dmf.worker.sync.retry.max-delay",
                    delay.mul_f64(1.1),
                    delay..=DAY,
                ),
                jitter_percent: reader.number("dmf.worker.sync.retry.jitter", 10, 0..=100),
                factor: reader.number("dmf.worker.sync.retry.factor", 1, 1..=10),
            },
            slot_hold: reader.duration("dmf.worker.sync.retry.slot-hold", secs(30), Duration::ZERO..=DAY),
            max_age: reader.duration("dmf.worker.sync.max-age", DAY, secs(1)..=DAY * 365),
            verification: reader.choice(
                "dmf.worker.verification",
                &[
                    ("gate", Verification::Gate),
                    ("report-only", Verification::ReportOnly),
                    ("off", Verification::Off),
                ],
                Verification::Gate,
            ),
            overwrite_target: reader.choice(
                "dmf.worker.target-not-empty",
                &[("fail", false), ("allow", true)],
                false,
            ),
        }
    }
}

impl CountSettings {
    /// Reads them.
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        Self {
            local_pre: reader.bool("dmf.worker.count.local-pre.enabled", true),
            local_post: reader.bool("dmf.worker.count.local-post.enabled", true),
            remote: reader.bool("dmf.worker.count.remote.enabled", true),
        }
    }
}
