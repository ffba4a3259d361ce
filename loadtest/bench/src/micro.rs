//! The smallest parts alone: reading the words of doveadm, making commands, and Redis' time in each Lua script.

#[path = "../../../shared/benches/scripts/measure.rs"]
mod scripts;
#[path = "../../../worker/benches/words/workload.rs"]
mod workload;

use std::{
    hint::black_box,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use dmf_lab::Lab;

use self::workload::{Dovecot, Filling};
use crate::{rate::Samples, report::Report};

/// The goal for the logs of mails, in MB/s.
const GOAL: f64 = 200.0;
/// What one sample takes at least.
const SAMPLE: Duration = Duration::from_millis(5);
const BACKLOGS: [u32; 2] = [1_000, 100_000];

/// How much is measured.
#[derive(Debug, Clone, Copy)]
struct Extent {
    samples: usize,
    rounds: usize,
}

/// Measures both.
pub(crate) async fn measure(data: &Path, quick: bool, report: &mut Report) -> Result<()> {
    let extent = if quick { Extent { samples: 51, rounds: 11 } } else { Extent { samples: 301, rounds: 51 } };
    write_words(extent, report);
    write_scripts(data, extent, report).await
}

/// One of them: what it does in one pass, and the bytes that it reads.
struct Words {
    name: &'static str,
    bytes: usize,
    has_goal: bool,
    work: Box<dyn Fn() -> usize>,
}

impl Words {
    fn reading(name: &'static str, log: Vec<u8>, has_goal: bool) -> Self {
        Self { name, bytes: log.len(), has_goal, work: Box::new(move || workload::read(black_box(&log))) }
    }

    fn other(name: &'static str, work: impl Fn() -> usize + 'static) -> Self {
        Self { name, bytes: 0, has_goal: false, work: Box::new(work) }
    }

    fn all() -> [Self; 6] {
        let (compiling, filling) = (Filling::new(), Filling::new());
        let log = |version| workload::log_of(version, 20_000);
        [
            Self::reading("read the mail log, Dovecot 2.3", log(Dovecot::V23), true),
            Self::reading("read the mail log, Dovecot 2.4", log(Dovecot::V24), true),
            Self::reading("read error lines", workload::errors_of(2_000), false),
            Self::other("compile a command's template", move || {
                black_box(black_box(&compiling).compile());
                1
            }),
            Self::other("fill a template", move || black_box(&filling).fill()),
            Self::other("judge a refused login", || {
                black_box(workload::judge_refusal());
                1
            }),
        ]
    }

    /// Microseconds of a pass.
    fn sample(&self, samples: usize) -> Samples {
        let time = |passes: u32| {
            let begun = Instant::now();
            for _ in 0..passes {
                black_box((self.work)());
            }
            begun.elapsed()
        };
        let mut passes = 1;
        while time(passes) < SAMPLE {
            passes *= 2;
        }
        let mut taken = Samples::default();
        for _ in 0..samples {
            taken.add(time(passes).as_secs_f64() * 1e6 / f64::from(passes));
        }
        taken
    }

    fn row(&self, taken: &Samples) -> Vec<String> {
        let micros = |value: f64| if value < 100.0 { format!("{value:.2}") } else { format!("{value:.0}") };
        let mut row = vec![self.name.to_owned()];
        row.extend([taken.least(), taken.median(), taken.mean()].map(micros));
        if self.bytes == 0 {
            row.extend(["", ""].map(str::to_owned));
        } else {
            #[allow(clippy::cast_precision_loss, reason = "exact below 2^53")]
            let rate = self.bytes as f64 / taken.median();
            row.push(format!("{rate:.0} MB/s"));
            row.push(if self.has_goal { against(rate) } else { String::new() });
        }
        row
    }
}

/// Whether a rate reaches the goal.
fn against(rate: f64) -> String {
    if rate >= GOAL {
        return format!("met ({GOAL} MB/s)");
    }
    format!("**missed** by {:.0} MB/s ({GOAL} MB/s)", GOAL - rate)
}

fn write_words(extent: Extent, report: &mut Report) {
    let Extent { samples, .. } = extent;
    report.line(&format!(
        "## Words of doveadm\n\nMicroseconds of one pass: {samples} samples of at least {} ms. A pass reads a log of \
         20,000 mails, each in another one of twenty mailboxes than the last, or of 2,000 errors, in pieces of \
         64 KiB; or it does its work once. The rate is that of the median.\n",
        SAMPLE.as_millis()
    ));
    let mut rows = Vec::new();
    for words in Words::all() {
        let taken = words.sample(samples);
        println!("{}: {} µs", words.name, taken.show(2));
        rows.push(words.row(&taken));
    }
    report.table(&["what", "fastest", "median", "mean", "rate", "goal"], &rows);
}

async fn write_scripts(data: &Path, extent: Extent, report: &mut Report) -> Result<()> {
    let Extent { rounds, .. } = extent;
    report.line(&format!(
        "## Lua scripts\n\nMicroseconds of a call before backlogs of 1,000 and of 100,000 jobs of twenty source hosts: \
         the median of {rounds} rounds, with the spread; in a round each script is called twenty times, one call after \
         the other. `Redis` is what Redis counts (`INFO commandstats`), `round trip` is that and the way there and back.\n"
    ));
    let data = tempfile::tempdir_in(data).context("a directory for the data")?;
    let lab = Lab::builder().redis().dir(data.path().join("lab")).start().await?;
    let url = lab.redis().url();
    let short = scripts::measure(&url, BACKLOGS[0], rounds).await?;
    let mut long = scripts::measure(&url, BACKLOGS[1], rounds).await?;
    let mut rows = Vec::new();
    for ((call, size), short) in short {
        let long = long.remove(&(call, size)).unwrap_or_default();
        let times = [short.server, long.server, short.round_trip, long.round_trip];
        let mut row = vec![call.name().to_owned(), size.to_string()];
        row.extend(times.map(|times| in_micros(&times).show(1)));
        rows.push(row);
    }
    let head =
        ["script", "jobs", "Redis, 1,000", "Redis, 100,000", "round trip, 1,000", "round trip, 100,000"];
    report.table(&head, &rows);
    Ok(())
}

fn in_micros(times: &[Duration]) -> Samples {
    let mut samples = Samples::default();
    for time in times {
        samples.add(time.as_secs_f64() * 1e6);
    }
    samples
}
