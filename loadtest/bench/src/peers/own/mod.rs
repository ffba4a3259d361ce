//! The contestants that are written in Rust: this queue, its Redis part alone, and stock apalis-redis. The runner
//! starts itself anew for each, so that they are processes like the others.

mod queue;
mod stock;
mod whole;

use std::io::BufRead as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use dmf_shared::queue::{Options, Queue};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinSet;

use super::protocol::{Order, Record, Recorder, Role, Settings, now};

/// This queue.
pub(crate) const WHOLE: &str = "this-queue";
/// Its Redis part.
pub(crate) const REDIS_PART: &str = "redis-part";
/// What apalis brings for Redis.
pub(crate) const STOCK: &str = "apalis-redis";

/// Plays one contestant, until standard input ends.
pub(crate) async fn play(name: &str, role: Role) -> Result<()> {
    let mut lines = read_lines();
    let settings = lines.recv().await.context("no settings")?;
    let settings: Settings = serde_json::from_str(&settings).context("settings")?;
    match (name, role) {
        (REDIS_PART, Role::Produce) => {
            produce(queue::Filler::new(&settings).await?, OWN_VERSION, lines).await
        }
        (REDIS_PART, Role::Work) => queue::work(&settings, until_end(lines)).await,
        (WHOLE, Role::Produce) => produce(whole::Filler::new(&settings).await?, OWN_VERSION, lines).await,
        (WHOLE, Role::Work) => whole::work(&settings, until_end(lines)).await,
        (STOCK, Role::Produce) => produce(stock::Filler::new(&settings).await?, stock::VERSION, lines).await,
        (STOCK, Role::Work) => stock::work(&settings, until_end(lines)).await,
        _ => bail!("no such contestant: {name}"),
    }
}

fn say_ready(version: &str) {
    println!("{{\"ready\":true,\"version\":\"{version}\"}}");
}

/// Version of this project's own crates.
const OWN_VERSION: &str = env!("CARGO_PKG_VERSION");

/// The lines of standard input, which a thread of its own waits for.
fn read_lines() -> UnboundedReceiver<String> {
    let (send, lines) = unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if send.send(line).is_err() {
                return;
            }
        }
    });
    lines
}

async fn until_end(mut lines: UnboundedReceiver<String>) {
    while lines.recv().await.is_some() {}
}

/// What enqueues jobs.
trait Produce: Send + Sync + 'static {
    /// Enqueues one job, as a program would that has just this one.
    fn one(&self, id: u64) -> impl Future<Output = Result<()>> + Send;

    /// Enqueues jobs in bulk until all are or the time is over; gives how many.
    fn fill(&self, first: u64, count: u64, limit: Duration) -> impl Future<Output = Result<u64>> + Send;

    /// Bytes in its database.
    fn size(&self) -> impl Future<Output = Result<u64>> + Send {
        async { bail!("it has no database") }
    }

    /// Waits until a queue that was lost is there again.
    fn wait_until_built(&self) -> impl Future<Output = Result<()>> + Send {
        async { bail!("nothing rebuilds it") }
    }
}

/// Obeys the orders; single jobs do not wait for each other.
async fn produce(producer: impl Produce, version: &str, mut lines: UnboundedReceiver<String>) -> Result<()> {
    let producer = Arc::new(producer);
    let mut under_way = JoinSet::new();
    say_ready(version);
    while let Some(line) = lines.recv().await {
        match Order::parse(&line)? {
            Order::One(id) => {
                let producer = Arc::clone(&producer);
                under_way.spawn(async move { producer.one(id).await });
            }
            Order::Fill { first, count, secs } => {
                let filled = producer.fill(first, count, Duration::from_secs(secs)).await?;
                println!("{{\"filled\":{filled}}}");
            }
            Order::Size => println!("{{\"bytes\":{}}}", producer.size().await?),
            Order::Rebuilt => {
                producer.wait_until_built().await?;
                println!("{{\"built\":true}}");
            }
        }
        while let Some(done) = under_way.try_join_next() {
            done??;
        }
    }
    while let Some(done) = under_way.join_next().await {
        done??;
    }
    Ok(())
}

/// What a job does: it sleeps, or does nothing, and is recorded.
#[derive(Debug)]
struct Job {
    recorder: Recorder,
    sleep: Duration,
}

impl Job {
    fn new(settings: &Settings) -> Result<Self> {
        let recorder = Recorder::open(&settings.records).context("the pipe of the records")?;
        Ok(Self { recorder, sleep: Duration::from_millis(settings.sleep_ms) })
    }

    async fn run(&self, id: u64) -> Result<()> {
        let start = now();
        if !self.sleep.is_zero() {
            tokio::time::sleep(self.sleep).await;
        }
        let end = if self.sleep.is_zero() { start } else { now() };
        self.recorder.write(Record { id, start, end }).context("the pipe of the records")
    }
}

/// Redis as schedulers and workers connect by default.
fn connect(settings: &Settings) -> Result<Queue> {
    Ok(Queue::connect_lazily(&Options::at(settings.redis.as_str()))?)
}

/// Source hosts of jobs without keys.
const HOSTS: u32 = 100;
/// Most jobs of such a host at a time: more than ever run.
const NO_LIMIT: u32 = 10_000;

/// How many source hosts there are, and the limit of each.
fn hosts(settings: &Settings) -> (u32, u32) {
    match settings.keys.iter().max() {
        Some(most) => (most + 1, settings.key_limit),
        None => (HOSTS, NO_LIMIT),
    }
}

/// Which of the source hosts a job belongs to, counted from zero.
fn host_of(settings: &Settings, id: u64) -> Result<u32> {
    match usize::try_from(id).ok().and_then(|id| settings.keys.get(id)) {
        Some(key) => Ok(*key),
        None => Ok(u32::try_from(id % u64::from(HOSTS))?),
    }
}
