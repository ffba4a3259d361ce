//! A short campaign of random faults; `infra/chaos` runs long ones.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use dmf_e2e::Binaries;
use dmf_e2e::chaos::{self, Plan};

/// Another campaign than the usual one.
const SEED_VARIABLE: &str = "DMF_CHAOS_SEED";
/// A test is the same each time: whoever looks for new faults runs `infra/chaos`. In this schedule a worker is
/// killed, frozen, told to end and has a twin, all at once.
const USUAL_SEED: u64 = 565_867;

#[tokio::test]
async fn a_short_campaign_ends_well() -> Result<()> {
    let seed = match std::env::var(SEED_VARIABLE) {
        Ok(seed) => seed.parse().context(SEED_VARIABLE)?,
        Err(_) => USUAL_SEED,
    };
    let plan = Plan { seed, time: Duration::from_secs(40), users: 24, hosts: 3, workers: 2, schedulers: 2 };
    let report = chaos::run(&plan, &Binaries::for_test()?).await?;
    ensure!(report.has_passed(), "{}", report.markdown());
    Ok(())
}
