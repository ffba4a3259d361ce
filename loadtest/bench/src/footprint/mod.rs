//! What the programs take: memory, time to start, size.

mod sizes;
mod start;
mod stores;

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use dmf_e2e::{Binaries, Daemon, Fleet};
use dmf_lab::Port;
use reqwest::Method;

use self::start::{Ready, start_times};
use crate::{
    plot::{self, Bar, Labels},
    process::{self, Taken, megabytes},
    rate::Samples,
    report::Report,
    seed,
    stage::{HOST, SOURCE, Stage},
};

/// Goals: millions of bytes of resident memory while idle.
const SCHEDULER_MB: f64 = 30.0;
const WORKER_MB: f64 = 20.0;
/// Goal: milliseconds from the start to readiness.
const START_MS: f64 = 200.0;

/// The plot beside the report.
const PLOT: &str = "footprint.svg";

const STORES: &str = "## Stores\n\nWith all that wait: `used_memory` of Redis, and tables and indexes of MariaDB \
                      (`information_schema`). A user here has a password and one migration without details.\n";

/// Looks of one measurement of memory, and the time between two.
const LOOKS: usize = 20;
const LOOK: Duration = Duration::from_millis(250);

/// How much is measured.
#[derive(Debug, Clone, Copy)]
struct Extent {
    backlog: u64,
    starts: usize,
}

/// Measures both programs, idle and before a long queue.
pub(crate) async fn measure(data: &Path, quick: bool, reports: &Path, report: &mut Report) -> Result<()> {
    let extent = if quick {
        Extent { backlog: 100_000, starts: 7 }
    } else {
        Extent { backlog: 1_000_000, starts: 21 }
    };
    let port = Port::reserve()?;
    let settings = format!("micronaut.server: {{ host: 127.0.0.1, port: {} }}\n", port.number());
    let stage = Stage::on(Fleet::builder().worker_settings(&settings), data).await?;
    let fleet = &stage.fleet;
    let (scheduler, worker) = (&fleet.schedulers()[0], &fleet.workers()[0]);
    let readiness = [
        Ready::new(scheduler, fleet.api().url())?,
        Ready::new(worker, &format!("http://127.0.0.1:{}", port.number()))?,
    ];
    // Nothing of what waits may run.
    let pause = format!("/sources/{SOURCE}/sourcehosts/{HOST}/pause");
    fleet.api().admin(Method::PUT, &pause, None).await?.expect(200)?;
    worker.start()?;
    fleet.wait_for_worker(0).await?;

    let (mut memory, mut starts) = (Vec::new(), Vec::new());
    let empty = "empty schema";
    starts.extend(measure_starts(&readiness, extent.starts, empty).await?);
    memory.extend(measure_memory([scheduler, worker], empty).await?);

    let before = stores::look_at(&stage).await?;
    seed::add(&stage, "backlog", extent.backlog).await?;
    seed::build_queue(&stage).await?;
    let stored = stores::rows(before, stores::look_at(&stage).await?, extent.backlog);
    let full = format!("{} waiting", extent.backlog);
    // The peak is that of the building.
    memory.extend(measure_memory([scheduler, worker], &full).await?);
    starts.extend(measure_starts(&readiness, extent.starts, &full).await?);
    memory.extend(measure_memory([scheduler, worker], &format!("{full}, started before them")).await?);

    let bars: Vec<Bar> = memory.iter().map(Memory::bar).collect();
    let labels = Labels { title: "Resident memory of idle programs", x: "MB", y: "" };
    plot::bars(&reports.join(PLOT), labels, &bars)?;
    write(extent, &memory, &starts, report)?;
    report.line(STORES);
    report.table(&["store", "MB", "bytes a user"], &stored);
    Ok(())
}

/// What a program takes in some state.
#[derive(Debug)]
struct Memory {
    state: String,
    program: String,
    resident: Samples,
    last: Taken,
    goal: f64,
}

impl Memory {
    fn row(&self) -> Vec<String> {
        vec![
            self.state.clone(),
            self.program.clone(),
            self.resident.show(1),
            format!("{:.1}", megabytes(self.last.peak_bytes)),
            self.last.descriptors.to_string(),
            against(self.resident.median(), self.goal, "MB"),
        ]
    }

    fn bar(&self) -> Bar {
        let name = format!("{}, {}", self.program, self.state);
        Bar { name, value: self.resident.median(), spread: self.resident.spread() }
    }
}

async fn measure_memory(daemons: [&Daemon; 2], state: &str) -> Result<Vec<Memory>> {
    let mut resident = [Samples::default(), Samples::default()];
    for _ in 0..LOOKS {
        for (samples, daemon) in resident.iter_mut().zip(daemons) {
            samples.add(megabytes(process::look_at(daemon)?.resident_bytes));
        }
        tokio::time::sleep(LOOK).await;
    }
    let mut all = Vec::new();
    for ((resident, daemon), goal) in resident.into_iter().zip(daemons).zip([SCHEDULER_MB, WORKER_MB]) {
        let (state, program) = (state.to_owned(), daemon.name().to_owned());
        println!("{program} with {state}: {} MB", resident.show(1));
        all.push(Memory { state, program, resident, last: process::look_at(daemon)?, goal });
    }
    Ok(all)
}

async fn measure_starts(programs: &[Ready<'_>; 2], starts: usize, state: &str) -> Result<Vec<Vec<String>>> {
    let mut rows = Vec::new();
    for program in programs {
        let took = start_times(program, starts).await?;
        println!("{} with {state}: ready after {} ms", program.name(), took.show(0));
        rows.push(vec![
            state.to_owned(),
            program.name().to_owned(),
            took.show(0),
            against(took.median(), START_MS, "ms"),
        ]);
    }
    Ok(rows)
}

/// Whether a value stays below its goal.
fn against(value: f64, goal: f64, unit: &str) -> String {
    if value <= goal { format!("met ({goal} {unit})") } else { format!("**missed** ({goal} {unit})") }
}

fn write(extent: Extent, memory: &[Memory], starts: &[Vec<String>], report: &mut Report) -> Result<()> {
    report.line(&format!(
        "## Memory\n\nResident memory (`VmRSS`) in millions of bytes, the median of {LOOKS} looks over {} s at one \
         scheduler and one worker with ten threads that run nothing, with the spread; `peak` is `VmHWM`, the most \
         since the process was started. `{} waiting`: as many users with a migration each, written into the tables; then Redis \
         forgot everything, and the scheduler built the queue again: its peak is that of the building. Their \
         source host is paused, so the worker leases none.\n",
        (LOOK * u32::try_from(LOOKS)?).as_secs(),
        extent.backlog,
    ));
    report.line(&format!("![Resident memory]({PLOT})\n"));
    let head = ["state", "program", "MB", "peak MB", "descriptors", "goal while idle"];
    report.table(&head, &memory.iter().map(Memory::row).collect::<Vec<_>>());
    report.line(&format!(
        "## Start\n\nMilliseconds from the start of the process to the first 200 of `/health/readiness`, which is asked \
         every few milliseconds, on a schema that exists; the median of {} starts, with the spread. A worker also \
         asks `doveadm` and `doveconf` what they are.\n",
        extent.starts,
    ));
    report.table(&["state", "program", "ms", "goal"], starts);
    report.line(
        "## Size\n\nOf the programs as they were built, and compressed by `gzip -9` as a stand-in for a package. The \
         size of the images could not be measured here: nothing builds images on this machine. An image is \
         `debian:bookworm-slim`, `ca-certificates` and the program; that of the worker also holds Dovecot.\n",
    );
    report.table(&["program", "MB", "MB compressed"], &sizes::rows(&Binaries::beside_this_program()?)?);
    Ok(())
}
