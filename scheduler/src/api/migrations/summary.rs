//! `GET /users/migrations/summary`

use std::collections::BTreeMap;

use axum::{Json, extract::State};
use dmf_shared::{
    domain::{
        clock::Clock,
        ids::HostId,
        migration::{Phase, Status},
    },
    store::{Lately, SummaryRow},
};
use serde_json::{Map, Value, json};
use time::{Duration, OffsetDateTime};

use crate::{
    api::{
        auth::Customer,
        error::Result,
        record::{object, time},
    },
    app::App,
};

/// Counts by status, phase and source host, what was moved, how fast it goes, and when it will be done if
/// it goes on like that.
pub async fn summary(State(app): State<App>, Customer(source): Customer) -> Result<Json<Value>> {
    let rows = app.store.summary(&source).await?;
    let lately = app.store.ended_lately(&source).await?;
    let names: BTreeMap<HostId, String> = app.store.sourcehost_names(source.id).await?.into_iter().collect();
    Ok(Json(body(&rows, lately, &names, Clock::system().now())))
}

const STATUSES: [Status; 5] =
    [Status::Scheduled, Status::Sync, Status::Success, Status::Failure, Status::Aborted];

fn body(rows: &[SummaryRow], lately: Lately, names: &BTreeMap<HostId, String>, now: OffsetDateTime) -> Value {
    let open = rows.iter().filter(|row| !row.status.is_terminal()).map(|row| row.migrations).sum();
    let hosts = names.iter().map(|(id, name)| {
        let counts = counts(rows.iter().filter(|row| row.sourcehost == *id));
        object([("name", json!(name)), ("status", counts)])
    });
    object([
        ("migrations", json!(rows.iter().map(|row| row.migrations).sum::<u64>())),
        ("open", json!(open)),
        ("status", counts(rows.iter())),
        (
            "phase",
            object([
                ("PRE_SYNC", counts(rows.iter().filter(|row| row.phase == Phase::PreSync))),
                ("CUTOVER", counts(rows.iter().filter(|row| row.phase == Phase::Cutover))),
            ]),
        ),
        ("sourcehosts", hosts.collect()),
        ("movedMessageCount", json!(rows.iter().map(|row| row.mails).sum::<u64>())),
        ("movedSize", json!(rows.iter().map(|row| row.bytes).sum::<u64>())),
        ("rate", rate(lately)),
        ("eta", json!(eta(open, lately, now).map(time))),
    ])
}

/// Every status with its count, those without any, too.
fn counts<'r>(rows: impl Iterator<Item = &'r SummaryRow>) -> Value {
    let mut totals = STATUSES.map(|status| (status, 0_u64));
    for row in rows {
        for (_, total) in totals.iter_mut().filter(|(status, _)| *status == row.status) {
            *total += row.migrations;
        }
    }
    let counts = totals.map(|(status, total)| (status.as_str().to_owned(), json!(total)));
    Value::Object(counts.into_iter().collect::<Map<_, _>>())
}

/// The time that a rate is taken over: at least a minute, since a few seconds say nothing.
fn seconds(lately: Lately) -> u64 {
    lately.seconds.max(60)
}

/// What ended in the last hour, for an hour.
fn rate(lately: Lately) -> Value {
    let hourly = |amount: u64| {
        u64::try_from(u128::from(amount) * 3600 / u128::from(seconds(lately))).unwrap_or(u64::MAX)
    };
    object([
        ("migrationsPerHour", json!(hourly(lately.migrations))),
        ("messagesPerHour", json!(hourly(lately.mails))),
        ("bytesPerHour", json!(hourly(lately.bytes))),
    ])
}

/// When the open ones will be done; none while nothing is open or nothing ended.
fn eta(open: u64, lately: Lately, now: OffsetDateTime) -> Option<OffsetDateTime> {
    if open == 0 || lately.migrations == 0 {
        return None;
    }
    let left = u128::from(open) * u128::from(seconds(lately)) / u128::from(lately.migrations);
    now.checked_add(Duration::seconds(i64::try_from(left).ok()?)).filter(|eta| eta.year() < 10_000)
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn the_eta_follows_from_the_rate() {
        let now = datetime!(2024-05-01 12:00 UTC);
        let lately = Lately { seconds: 1800, migrations: 100, mails: 5000, bytes: 1 << 20 };
        assert_eq!(eta(400, lately, now), Some(datetime!(2024-05-01 14:00 UTC)));
        assert_eq!(rate(lately)["migrationsPerHour"], 200);
        assert_eq!(eta(0, lately, now), None);
        assert_eq!(eta(1, Lately::default(), now), None);
        assert_eq!(eta(u64::MAX, lately, now), None);
        let first = Lately { seconds: 0, migrations: 1, ..Lately::default() };
        assert_eq!(rate(first)["migrationsPerHour"], 60);
    }
}
