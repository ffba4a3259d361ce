//! Single submits: the rate through the API over that of the same statements from a bare client, with as many
//! connections.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use tokio::task::JoinSet;

use crate::{
    Extent,
    bare::{self, Bare},
    compare::{Compared, HEAD, Side},
    rate::per_second,
    report::Report,
    rows::Row,
    stage::Stage,
};

/// Clients at a time.
const CONCURRENCY: [usize; 3] = [1, 8, 32];

/// Why the goal may be missed, as far as it is known, and what was tried.
const WHY: &str = "a scheduler's part of a submit (HTTP, JSON, checks, sealing the password) and that of the client, \
    which the bare side does without, stand before and behind the same statements, on the same two processor cores: \
    of 1.0 to 1.5 ms for a submit, without the wait for the disk, 0.4 ms pass before the first statement and behind \
    the last one, and the scheduler and MariaDB wake each other for each round trip. The faster the disk, the more \
    that weighs. The relay works meanwhile, which it does for the bare rows once a second. \
    Tried and kept: statements that need no answer of each other go to the database in one text, five round trips \
    where there were fifteen; inserts give their rows back, so that none is read again; the entry of the audit log is \
    committed with the submit; submits that come while four transactions of a scheduler are under way go together \
    with one commit; a connection that was given back a moment ago is used again without sqlx's question whether it \
    lives; the relay gathers what comes within 8 ms (first measured: 0.53, 0.41 and 0.44 for 1, 8 and 32 clients). \
    One transaction at a time instead of four gave 0.68, 0.33 and 0.62 where four gave 0.77, 0.42 and 0.66: a few \
    submits wait for each other's commit then, where MariaDB commits together what comes at the same time.";

/// Measures both sides in turn for each number of clients.
pub(crate) async fn measure(data: &Path, extent: Extent, report: &mut Report) -> Result<()> {
    let stage = Stage::start(data, 2).await?;
    same_statements(&stage).await?;
    let mut rows = Vec::new();
    for clients in CONCURRENCY {
        let what = format!("{clients} clients");
        let compared = Compared::over(extent.rounds, &what, async |side, round| {
            let rate = run(&stage, side, clients, round, Duration::from_secs(extent.secs)).await?;
            bare::wait_for_relays(&stage.fleet.database_url()).await?;
            Ok(rate)
        });
        rows.push(compared.await?.row(clients));
    }
    report.line(
        "Submits a second of new users with a password, two schedulers without workers, MariaDB with \
         `innodb_flush_log_at_trx_commit=1` on the disk of the project. The bare client runs the same statements, \
         those of the audit log included, over prepared statements, one after the other, on connections of its own. The relay carries \
         what either side submits into Redis meanwhile. Medians of alternating rounds, with the spread.\n",
    );
    report.table(&[&["clients"][..], &HEAD[..]].concat(), &rows);
    report.why(&rows, WHY);
    Ok(())
}

/// Submits a second of one measurement.
async fn run(stage: &Stage, side: Side, clients: usize, round: usize, length: Duration) -> Result<f64> {
    let name = format!("{side:?}{clients}x{round}").to_lowercase();
    let next = Arc::new(AtomicU64::new(0));
    let mut tasks = JoinSet::new();
    let mut connections = Vec::new();
    if side == Side::Bare {
        for _ in 0..clients {
            connections.push(Bare::connect(&stage.fleet.database_url(), stage.ids).await?);
        }
    }
    let begun = Instant::now();
    for _ in 0..clients {
        let (name, next, customer) = (name.clone(), Arc::clone(&next), stage.customer.clone());
        let mut connection = connections.pop();
        tasks.spawn(async move {
            let mut done = 0_u64;
            while begun.elapsed() < length {
                let row = Row::new(&name, next.fetch_add(1, Ordering::Relaxed));
                match &mut connection {
                    Some(bare) => bare.submit(&row).await?,
                    None => {
                        customer.submit(&row.body()).await?;
                    }
                }
                done += 1;
            }
            anyhow::Ok(done)
        });
    }
    let mut done = 0;
    while let Some(task) = tasks.join_next().await {
        done += task??;
    }
    Ok(per_second(done, begun.elapsed()))
}

/// What is compared has to be the same: as many rows are written by either side for a submit.
async fn same_statements(stage: &Stage) -> Result<()> {
    let url = stage.fleet.database_url();
    let mut bare = Bare::connect(&url, stage.ids).await?;
    let begun = bare::statements(&url).await?;
    bare.submit(&Row::new("same-bare", 0)).await?;
    let between = bare::statements(&url).await?;
    stage.customer.submit(&Row::new("same-api", 0).body()).await?;
    let ended = bare::statements(&url).await?;
    let difference = |before: &[(String, u64)], after: &[(String, u64)]| -> Vec<(String, u64)> {
        before.iter().zip(after).map(|((name, before), (_, after))| (name.clone(), after - before)).collect()
    };
    let (bare, api) = (difference(&begun, &between), difference(&between, &ended));
    ensure!(bare == api, "the bare client writes {bare:?} and the API {api:?} for a submit");
    Ok(())
}
