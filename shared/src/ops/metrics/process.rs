//! What the process and its machine say of themselves, read when somebody asks. A value that can't be read
//! is left out.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Instant,
};

use metrics::Unit;
use procfs::{Current as _, CurrentSI as _, KernelStats, LoadAverage, process::Process};

use super::{Family, Kind, Measure, Series};

/// Processor time at an earlier look, for the usage since then.
struct Earlier {
    at: Instant,
    process_secs: f64,
    busy_ticks: u64,
    all_ticks: u64,
    process_usage: f64,
    system_usage: f64,
}

static EARLIER: Mutex<Option<Earlier>> = Mutex::new(None);

/// Two looks closer than this see the same usage: two scrapers must not take each other's time away.
const WINDOW_SECS: f64 = 1.0;

pub(super) fn add(families: &mut BTreeMap<String, Family>) {
    let mut gauge = |name: &str, unit: Option<Unit>, description: &str, value: Option<f64>| {
        let Some(value) = value else { return };
        let series = vec![Series { labels: BTreeMap::new(), measure: Measure::Value(value) }];
        let description = description.to_owned();
        families.insert(name.to_owned(), Family { kind: Kind::Gauge, description, unit, series });
    };
    let process = Process::myself().ok();
    let stat = process.as_ref().and_then(|process| process.stat().ok());
    let ticks = ticks_per_second();
    let start = stat.as_ref().map(|stat| seconds(stat.starttime, ticks));
    let uptime = procfs::Uptime::current().ok().zip(start).map(|(up, start)| up.uptime - start);
    let kernel = KernelStats::current().ok();
    let boot = kernel.as_ref().map(|kernel| seconds(kernel.btime, 1));
    let cpu = stat.as_ref().map(|stat| seconds(stat.utime + stat.stime, ticks));
    let (process_usage, system_usage) = usage(cpu, kernel.as_ref());
    let limits = process.as_ref().and_then(|process| process.limits().ok());
    let most_files = limits.and_then(|limits| match limits.max_open_files.soft_limit {
        procfs::process::LimitValue::Value(most) => Some(seconds(most, 1)),
        procfs::process::LimitValue::Unlimited => None,
    });
    let files = process.as_ref().and_then(|process| process.fd_count().ok());
    let pages = stat.as_ref().map(|stat| stat.rss);

    gauge("process.uptime", Some(Unit::Seconds), "Time since the process was started.", uptime);
    let started = boot.zip(start).map(|(boot, start)| boot + start);
    gauge(
        "process.start.time",
        Some(Unit::Seconds),
        "When the process was started, as a Unix time.",
        started,
    );
    gauge("process.cpu.time", Some(Unit::Seconds), "Processor time of the process since its start.", cpu);
    gauge("process.cpu.usage", None, "Share of all processors that the process used lately.", process_usage);
    gauge(
        "process.files.open",
        None,
        "Open file descriptors.",
        files.and_then(|n| u32::try_from(n).ok()).map(f64::from),
    );
    gauge("process.files.max", None, "Most file descriptors that may be open.", most_files);
    let resident = pages.map(|pages| seconds(pages * procfs::page_size(), 1));
    gauge("process.memory.resident", Some(Unit::Bytes), "Memory of the process that is in RAM.", resident);
    let threads = stat.as_ref().and_then(|stat| u32::try_from(stat.num_threads).ok()).map(f64::from);
    gauge("process.threads", None, "Threads of the process.", threads);
    let processors = std::thread::available_parallelism().ok().and_then(|n| u32::try_from(n.get()).ok());
    gauge("system.cpu.count", None, "Processors that the process may use.", processors.map(f64::from));
    gauge("system.cpu.usage", None, "Share of all processors that was in use lately.", system_usage);
    let load = LoadAverage::current().ok().map(|load| f64::from(load.one));
    gauge("system.load.average.1m", None, "Load average of the last minute.", load);
}

/// Usage by the process and by the whole machine, as shares of all processors.
fn usage(cpu_secs: Option<f64>, kernel: Option<&KernelStats>) -> (Option<f64>, Option<f64>) {
    let (Some(cpu_secs), Some(kernel)) = (cpu_secs, kernel) else { return (None, None) };
    let total = &kernel.total;
    let idle = total.idle + total.iowait.unwrap_or(0);
    let busy = total.user
        + total.nice
        + total.system
        + total.irq.unwrap_or(0)
        + total.softirq.unwrap_or(0)
        + total.steal.unwrap_or(0);
    let processors = f64::from(u32::try_from(kernel.cpu_time.len().max(1)).unwrap_or(1));
    let now = Earlier {
        at: Instant::now(),
        process_secs: cpu_secs,
        busy_ticks: busy,
        all_ticks: busy + idle,
        process_usage: 0.0,
        system_usage: 0.0,
    };
    let mut earlier = EARLIER.lock().unwrap_or_else(PoisonError::into_inner);
    let usages = match &*earlier {
        None => (0.0, 0.0),
        Some(before) if before.at.elapsed().as_secs_f64() < WINDOW_SECS => {
            return (Some(before.process_usage), Some(before.system_usage));
        }
        Some(before) => {
            let time = before.at.elapsed().as_secs_f64() * processors;
            let busy = seconds(now.busy_ticks.saturating_sub(before.busy_ticks), 1);
            let all = seconds(now.all_ticks.saturating_sub(before.all_ticks).max(1), 1);
            ((now.process_secs - before.process_secs) / time, busy / all)
        }
    };
    *earlier = Some(Earlier { process_usage: usages.0, system_usage: usages.1, ..now });
    (Some(usages.0), Some(usages.1))
}

fn ticks_per_second() -> u64 {
    procfs::ticks_per_second().max(1)
}

#[allow(clippy::cast_precision_loss, reason = "a measurement needs no more digits")]
fn seconds(count: u64, per_second: u64) -> f64 {
    count as f64 / per_second as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_running_process_knows_itself() {
        let mut families = BTreeMap::new();
        add(&mut families);
        for name in ["process.threads", "process.files.open", "process.memory.resident", "system.cpu.count"] {
            let Measure::Value(value) = families[name].series[0].measure else { panic!("{name}") };
            assert!(value > 0.0, "{name} is {value}");
        }
    }
}
