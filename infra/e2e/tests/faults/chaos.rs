//! A short campaign of random faults; `infra/chaos` runs long ones.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use dmf_e2e::Binaries;
use dmf_e2e::chaos::{self, Plan};

/// Replays one campaign.
const SEED_VARIABLE: &str = "DMF_CHAOS_SEED";

#[tokio::test]
async fn a_short_campaign_ends_well() -> Result<()> {
    let seed = match std::env::var(SEED_VARIABLE) {
        Ok(seed) => seed.parse().context(SEED_VARIABLE)?,
        Err(_) => fastrand::u64(..1_000_000),
    };
    println!("{SEED_VARIABLE}={seed} replays this campaign");
    let plan = Plan { seed, time: Duration::from_secs(40), users: 24, hosts: 3, workers: 2, schedulers: 2 };
    let report = chaos::run(&plan, &Binaries::for_test()?).await?;
    ensure!(report.has_passed(), "{}", report.markdown());
    Ok(())
}
