use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::stage::Stage;

const INTERVAL: Duration = Duration::from_secs(1);
/// Without any change for so long, something is wrong.
const STANDSTILL: Duration = Duration::from_mins(2);

/// Shows how many migrations are in which state until all have ended.
pub(super) async fn watch(stage: &Stage) -> Result<()> {
    let (begin, mut changed) = (Instant::now(), Instant::now());
    let mut shown = BTreeMap::new();
    loop {
        let mut counts = BTreeMap::new();
        for mover in &stage.movers {
            let record = stage.customer.latest(&mover.name).await?;
            *counts.entry(record["status"].as_str().unwrap_or_default().to_owned()).or_insert(0) += 1;
        }
        let open = counts.get("SCHEDULED").unwrap_or(&0) + counts.get("SYNC").unwrap_or(&0);
        if counts != shown {
            let states: Vec<String> =
                counts.iter().map(|(state, count)| format!("{count} {state}")).collect();
            println!("{:5.1} s  {}", begin.elapsed().as_secs_f64(), states.join(", "));
            (shown, changed) = (counts, Instant::now());
        }
        if open == 0 {
            return Ok(());
        }
        ensure!(changed.elapsed() < STANDSTILL, "nothing has changed for {} s", STANDSTILL.as_secs());
        tokio::time::sleep(INTERVAL).await;
    }
}
