//! Bulk submits: the rate through the API over that of bare multi-row inserts of the same rows.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
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

/// Streams at a time.
const STREAMS: [usize; 2] = [1, 4];
/// Rows of one transaction, as the API makes them.
const BATCH: usize = 500;
/// Users of one stream for each second that a measurement is to take.
const USERS_A_SECOND: usize = 5_000;

/// Why the goal may be missed, as far as it is known, and what was tried.
const WHY: &str = "MariaDB does more for the API: beside the inserts it looks for each user whether it is there, reads \
    what the relay carries into Redis (the bare rows wait for a look of the relay each second, and most of that comes \
    after they are counted), parses values that stand in the text of a statement (prepared statements of any number \
    of rows cost a wait each when they are closed), and commits the figures of the audit log behind each 500. HTTP, \
    JSON, checks and sealed passwords share the same two processor cores. Tried and kept: inserts give the ids back, \
    so that none is read again; nothing is deleted for new users; the next 500 lines are read while some are \
    submitted; target uids are looked for only when one was refused; texts of letters and digits stand in a statement \
    as they are, half as long as in hexadecimal; no question to a connection that returns to its pool. In alternating \
    runs on one machine these five took the ratio from 0.48 to 0.62 (1 stream) and from 0.54 to 0.70 (4 streams).";

/// Measures both sides in turn for each number of streams.
pub(crate) async fn measure(data: &Path, extent: Extent, report: &mut Report) -> Result<()> {
    let stage = Stage::start(data, 2).await?;
    let users = USERS_A_SECOND * usize::try_from(extent.secs)?;
    let mut table = Vec::new();
    for streams in STREAMS {
        let each = users / streams;
        let what = format!("{streams} streams");
        let compared = Compared::over(extent.rounds, &what, async |side, round| {
            let name = format!("{side:?}{streams}x{round}").to_lowercase();
            match side {
                Side::Bare => inserts(&stage, &name, streams, each).await,
                Side::Api => submits(&stage, &name, streams, each).await,
            }
        });
        table.push(compared.await?.row(streams));
    }
    report.line(&format!(
        "Users a second, new ones with a password, {users} in each measurement, two schedulers without workers, \
         MariaDB with `innodb_flush_log_at_trx_commit=1` on the disk of the project. The bare client inserts the \
         same rows of the same four tables, {BATCH} in a transaction, asks for nothing and checks nothing, over statements that stay prepared. The \
         relay carries what either side submits into Redis meanwhile. Medians of alternating rounds, with the \
         spread.\n",
    ));
    report.table(&[&["streams"][..], &HEAD[..]].concat(), &table);
    report.why(&table, WHY);
    Ok(())
}

fn rows(name: &str, stream: usize, count: usize) -> Vec<Row> {
    (0..count).map(|n| Row::new(&format!("{name}.{stream}"), n as u64)).collect()
}

async fn inserts(stage: &Stage, name: &str, streams: usize, each: usize) -> Result<f64> {
    let url = stage.fleet.database_url();
    let mut clients = Vec::new();
    for stream in 0..streams {
        clients.push((Bare::connect(&url, stage.ids).await?, rows(name, stream, each)));
    }
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    for (mut client, rows) in clients {
        tasks.spawn(async move {
            for batch in rows.chunks(BATCH) {
                client.insert(batch).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(task) = tasks.join_next().await {
        task??;
    }
    let took = begun.elapsed();
    bare::wait_for_relays(&url).await?;
    Ok(per_second((streams * each) as u64, took))
}

async fn submits(stage: &Stage, name: &str, streams: usize, each: usize) -> Result<f64> {
    let body = |stream| -> String {
        rows(name, stream, each).iter().flat_map(|row| [row.body().to_string(), "\n".to_owned()]).collect()
    };
    let bodies: Vec<String> = (0..streams).map(body).collect();
    let before = stage.submitted().await?;
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    for body in bodies {
        let (api, key) = (stage.fleet.api().clone(), stage.customer.key().to_owned());
        tasks.spawn(async move { api.bulk_text(&key, body).await });
    }
    let mut created = 0;
    while let Some(task) = tasks.join_next().await {
        let answer = task?.context("a bulk submit")?;
        created += answer.lines().filter(|line| line.contains("\"CREATED\"")).count();
    }
    let took = begun.elapsed();
    ensure!(created == streams * each, "{created} of {} were created", streams * each);
    let stored = stage.submitted().await? - before;
    ensure!(stored == created as u64, "{created} were answered and {stored} are stored");
    bare::wait_for_relays(&stage.fleet.database_url()).await?;
    Ok(per_second(created as u64, took))
}
