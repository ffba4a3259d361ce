//! What every metric means. A name that is counted anywhere stands here; docs and dashboards follow it.

use metrics::Unit::{self, Bytes, Count, Seconds};

use super::Kind::{self, Counter, Distribution, Gauge};

/// Name, kind, unit, meaning.
type Meaning = (&'static str, Kind, Unit, &'static str);

/// Sorted by name.
const MEANINGS: &[Meaning] = &[
    ("dmf.build.info", Gauge, Count, "1, with the version as a label."),
    ("dmf.child.processes", Gauge, Count, "Child processes that run now."),
    ("dmf.children.started", Counter, Count, "Child processes started, by step."),
    ("dmf.claims", Counter, Count, "Decisions of claims: granted, or why not."),
    ("dmf.drift", Counter, Count, "Differences between queue and database that were repaired, by kind."),
    ("dmf.hosts.limit", Gauge, Count, "Connections that a source host allows."),
    ("dmf.hosts.running", Gauge, Count, "Leases of a source host: its connections in use."),
    ("dmf.hosts.suspended", Gauge, Count, "1 while a source host is suspended after trouble, else 0."),
    ("dmf.leases", Gauge, Count, "Leases that this worker holds."),
    ("dmf.leases.lost", Counter, Count, "Leases that this worker lost."),
    (
        "dmf.leases.reaped",
        Counter,
        Count,
        "Leases taken back from workers that were silent, by what became of the migration.",
    ),
    ("dmf.migrations.duration", Distribution, Seconds, "Time from claim to end of a migration, by phase."),
    (
        "dmf.migrations.ended",
        Counter,
        Count,
        "Ended migrations, by target, phase, status and outcome of the sync command.",
    ),
    ("dmf.migrations.mails", Counter, Count, "Mails that syncs saved."),
    ("dmf.migrations.moved", Counter, Bytes, "Size of the targets' mailboxes after successful syncs."),
    (
        "dmf.queue.depth",
        Gauge,
        Count,
        "Migrations that wait, by target and priority; delayed: for their time.",
    ),
    (
        "dmf.queue.oldest.age",
        Gauge,
        Seconds,
        "Age of the oldest migration that waits and may start, by target.",
    ),
    ("dmf.rebuild.duration", Distribution, Seconds, "Time of a rebuild of the queue from the database."),
    ("dmf.relay.lag", Gauge, Seconds, "Age of the oldest outbox entry that no relay has carried yet."),
    ("dmf.relay.relayed", Counter, Count, "Outbox entries carried to the queue."),
    ("dmf.retention.swept", Counter, Count, "What retention threw away, by kind."),
    ("dmf.store.calls", Distribution, Seconds, "Time of calls of the stores, by store and call."),
    ("dmf.store.errors", Counter, Count, "Calls of the stores that failed, by store."),
    ("dmf.store.up", Gauge, Count, "1 while the store answers, else 0, by store."),
    ("dmf.traces.spans", Counter, Count, "Spans that went out, and those that were lost, by result."),
    ("dmf.worker.threads", Gauge, Count, "Most migrations that this worker runs at a time."),
    ("hikaricp.connections", Gauge, Count, "Connections of the database pool."),
    ("hikaricp.connections.active", Gauge, Count, "Connections of the database pool that are in use."),
    ("hikaricp.connections.idle", Gauge, Count, "Connections of the database pool that are free."),
    ("hikaricp.connections.max", Gauge, Count, "Most connections of the database pool."),
    ("hikaricp.connections.min", Gauge, Count, "Connections that the database pool keeps."),
    ("http.server.requests", Distribution, Seconds, "HTTP requests by route, method and status."),
    ("logback.events", Counter, Count, "Events of the program by level."),
];

/// Tells the recorder what every metric means.
pub fn describe() {
    for (name, kind, unit, meaning) in MEANINGS.iter().copied() {
        match kind {
            Counter => metrics::describe_counter!(name, unit, meaning),
            Gauge => metrics::describe_gauge!(name, unit, meaning),
            Distribution => metrics::describe_histogram!(name, unit, meaning),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::MEANINGS;

    #[test]
    fn meanings_are_sorted_and_named_once() {
        assert!(MEANINGS.is_sorted_by(|a, b| a.0 < b.0));
    }
}
