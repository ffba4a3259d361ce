//! A big fleet, simulated: the real schedulers, Redis and MariaDB, and the real runtime of many workers in this
//! process, whose migrations sleep. How near the end of all work comes to what no queue can beat, what the stores and
//! schedulers have to do for it, and at which size of a fleet they are at their end.

mod bound;
mod checks;
mod cost;
mod disk;
mod field;
mod hosts;
mod ideal;
mod lengths;
mod load;
mod runs;
mod saturation;
mod size;
mod tables;
mod timeline;
mod work;
mod workers;

use std::path::Path;
use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use self::{
    bound::Bound,
    checks::Measured,
    cost::Watched,
    load::{Counters, Load},
    runs::{HELD as HELD_USER, RUN, Runs},
    size::{HELD, SCHEDULERS, THREADS},
    work::Work,
    workers::{RHYTHM, Workers},
};
use crate::{report::Report, stage::Stage};

pub(crate) use self::size::Size;

/// Time between two looks at how far the run is, and between two lines about it.
const LOOK: Duration = Duration::from_millis(50);
const TELL: Duration = Duration::from_secs(5);
/// How long the last steps of migrations that are to be held, or were, may take.
const HOLD_LIMIT: Duration = Duration::from_mins(3);
/// A run that takes so many times what it needs at least, and this more, is given up.
const PATIENCE: (u32, Duration) = (3, Duration::from_mins(2));

/// All that came out.
#[derive(Debug)]
struct Outcome {
    size: Size,
    work: Work,
    bound: Bound,
    measured: Measured,
    watched: Watched,
    /// Migrations that were claimed more than once.
    claimed_again: u64,
    /// What must not be so.
    faults: Vec<String>,
    /// Small writes that the disk takes in a second.
    flushes: f64,
}

/// Runs the simulation; what must not be is noted as a failure.
pub(crate) async fn measure(data: &Path, size: &Size, reports: &Path, report: &mut Report) -> Result<()> {
    let work = Work::draw(size);
    let bound = Bound::of(&work);
    println!("{} users, {} workers: at least {:.0} s", size.users, size.workers, bound.lower().as_secs_f64());
    let flushes = disk::flushes_a_second(data).await?;
    let stage = Stage::start(data, usize::from(SCHEDULERS)).await?;
    field::allow(&stage, false).await?;
    field::create_hosts(&stage, &work.hosts).await?;
    let runs = Arc::new(Runs::of(work.jobs.clone()));
    let url = stage.fleet.database_url();
    let database = url.rsplit('/').next().context("the name of the database")?;
    let mut workers = Workers::over(stage.fleet.lab(), database, Arc::clone(&runs), size.workers)?;

    let empty = load::watch(&stage.fleet, size.watch).await?;
    let mut idle = Vec::new();
    for count in &size.idle {
        workers.grow_to(*count).await?;
        println!("{count} workers have nothing to do");
        idle.push((*count, load::watch(&stage.fleet, size.watch.max(RHYTHM.every * 2)).await?));
    }
    let held = hosts::spread(&work.hosts, (size.workers * HELD) as usize);
    let holding = hold(&stage, size, &workers, &runs, &held).await?;

    let hosts: Vec<u32> = work.jobs.iter().map(|job| job.host).collect();
    field::submit(&stage, RUN, &hosts).await?;
    println!("{} migrations wait", size.users);
    let waiting = load::watch(&stage.fleet, size.watch.max(RHYTHM.every * 2)).await?;
    let run = run(&stage, size, &mut workers, &runs, bound.lower()).await?;
    workers.stop().await?;

    let ran = runs.take();
    let measured = Measured::of(&work, &ran);
    let books = field::read_books(&stage).await?;
    let mut faults = measured.faults.clone();
    faults.extend(checks::faults_in(books, hosts.len() as u64 + held.len() as u64));
    let (troubles, first) = runs.troubles();
    if troubles > 0 {
        faults.push(format!("{troubles} troubles of workers: {first}"));
    }
    let held_secs = ran.iter().map(|one| (one.recorded - one.claimed).as_secs_f64()).sum();
    let watched = Watched {
        empty,
        idle,
        holding,
        leases: u32::try_from(held.len())?,
        waiting,
        run,
        migrations: size.users,
        held_secs,
    };
    let claimed_again = books.claimed_again;
    let outcome =
        Outcome { size: size.clone(), work, bound, measured, watched, claimed_again, faults, flushes };
    tables::write(&outcome, reports, report)
}

/// Every worker holds some migrations, and none begins or ends.
async fn hold(stage: &Stage, size: &Size, workers: &Workers, runs: &Runs, hosts: &[u32]) -> Result<Load> {
    field::set_threads(stage, HELD).await?;
    field::submit(stage, HELD_USER, hosts).await?;
    workers.wait_for_threads(HELD).await?;
    field::allow(stage, true).await?;
    let count = u32::try_from(hosts.len())?;
    wait_for(&runs.held, count, "migrations are held", HOLD_LIMIT).await?;
    println!("{count} migrations are held");
    // Claims come in bursts, and the first heartbeat after them is theirs, too.
    tokio::time::sleep(RHYTHM.every / 2).await;
    let load = load::watch(&stage.fleet, size.watch.max(RHYTHM.every * 2)).await?;
    field::allow(stage, false).await?;
    runs.release.cancel();
    wait_for(&runs.released, count, "migrations that were held have ended", HOLD_LIMIT).await?;
    field::set_threads(stage, THREADS).await?;
    workers.wait_for_threads(THREADS).await?;
    Ok(load)
}

/// From the order to begin to the end of everything.
async fn run(
    stage: &Stage,
    size: &Size,
    workers: &mut Workers,
    runs: &Runs,
    bound: Duration,
) -> Result<Load> {
    let before = Counters::read(&stage.fleet).await?;
    let (begun, limit) = (Instant::now(), bound * PATIENCE.0 + PATIENCE.1);
    field::allow(stage, true).await?;
    let mut told = Instant::now();
    loop {
        let ended = runs.ended.load(Ordering::SeqCst);
        if ended >= size.users {
            break;
        }
        workers.expect_all_alive()?;
        if told.elapsed() >= TELL {
            told = Instant::now();
            println!("{ended} of {} after {:.0} s", size.users, begun.elapsed().as_secs_f64());
        }
        let (count, first) = runs.troubles();
        ensure!(
            begun.elapsed() < limit,
            "{ended} of {} have ended after {limit:?}; {count} troubles: {first}",
            size.users
        );
        tokio::time::sleep(LOOK).await;
    }
    Ok(Counters::read(&stage.fleet).await?.since(&before))
}

async fn wait_for(counter: &AtomicU32, wanted: u32, what: &str, limit: Duration) -> Result<()> {
    let deadline = Instant::now() + limit;
    loop {
        let seen = counter.load(Ordering::SeqCst);
        if seen >= wanted {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "{seen} of {wanted} {what} after {limit:?}");
        tokio::time::sleep(LOOK).await;
    }
}
