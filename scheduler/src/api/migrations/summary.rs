//! `GET /users/migrations/summary`

use axum::{Json, extract::State};
use dmf_shared::{
    domain::{
        clock::Clock,
        migration::{Phase, Status},
    },
    store::{Lately, SummaryRow},
};
use serde::Serialize;
use time::{Duration, OffsetDateTime};
use utoipa::ToSchema;

use crate::{
    api::{
        answer::is_left_out,
        auth::Customer,
        error::Result,
        openapi::{Answer, Doc, Tag},
        record::time,
    },
    app::App,
    summaries::Figures,
};

/// What the document says of [`summary`].
pub const SUMMARY: Doc = Doc {
    id: "summarizeMigrations",
    summary: "Show how far the migrations are",
    description: "Counts by status, phase and source host, what was moved, how fast it goes, and when it will be done if it goes on like that.",
    tag: Tag::Migration,
    query: None,
    body: None,
    answers: &[Answer::json::<Summary>(200, "The summary.")],
    refuses: &[],
};

/// How far the migrations of a Source are.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    migrations: u64,
    open: u64,
    status: Counts,
    phase: Phases,
    sourcehosts: Vec<HostSummary>,
    moved_message_count: u64,
    moved_size: u64,
    rate: Rate,
    #[serde(skip_serializing_if = "is_left_out")]
    #[schema(format = DateTime)]
    eta: Option<String>,
}

/// How many migrations there are in each status.
#[derive(Debug, Default, Serialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[schema(as = StatusCounts)]
struct Counts {
    scheduled: u64,
    sync: u64,
    success: u64,
    failure: u64,
    aborted: u64,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[schema(as = PhaseCounts)]
struct Phases {
    pre_sync: Counts,
    cutover: Counts,
}

#[derive(Debug, Serialize, ToSchema)]
struct HostSummary {
    name: String,
    status: Counts,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[allow(clippy::struct_field_names, reason = "the names of the API")]
struct Rate {
    migrations_per_hour: u64,
    messages_per_hour: u64,
    bytes_per_hour: u64,
}

/// Counts by status, phase and source host, what was moved, how fast it goes, and when it will be done if
/// it goes on like that.
pub async fn summary(State(app): State<App>, Customer(source): Customer) -> Result<Json<Summary>> {
    let figures = app.summaries.of(&source).await?;
    Ok(Json(body(&figures, Clock::system().now())))
}

fn body(figures: &Figures, now: OffsetDateTime) -> Summary {
    let Figures { rows, lately, names, .. } = figures;
    let open = rows
        .iter()
        .filter(|row| !row.status.is_terminal())
        .map(|row| row.migrations)
        .fold(0, u64::saturating_add);
    let of_phase = |phase| counts(rows.iter().filter(|row| row.phase == phase));
    let hosts = names.iter().map(|(id, name)| HostSummary {
        name: name.clone(),
        status: counts(rows.iter().filter(|row| row.sourcehost == *id)),
    });
    Summary {
        migrations: rows.iter().map(|row| row.migrations).fold(0, u64::saturating_add),
        open,
        status: counts(rows.iter()),
        phase: Phases { pre_sync: of_phase(Phase::PreSync), cutover: of_phase(Phase::Cutover) },
        sourcehosts: hosts.collect(),
        moved_message_count: rows.iter().map(|row| row.mails).fold(0, u64::saturating_add),
        moved_size: rows.iter().map(|row| row.bytes).fold(0, u64::saturating_add),
        rate: rate(*lately),
        eta: eta(open, *lately, now).map(time),
    }
}

/// Every status with its count, those without any, too.
fn counts<'r>(rows: impl Iterator<Item = &'r SummaryRow>) -> Counts {
    let mut counts = Counts::default();
    for row in rows {
        *match row.status {
            Status::Scheduled => &mut counts.scheduled,
            Status::Sync => &mut counts.sync,
            Status::Success => &mut counts.success,
            Status::Failure => &mut counts.failure,
            Status::Aborted => &mut counts.aborted,
        } += row.migrations;
    }
    counts
}

/// The time that a rate is taken over: at least a minute, since a few seconds say nothing.
fn seconds(lately: Lately) -> u64 {
    lately.seconds.max(60)
}

/// What ended in the last hour, for an hour.
fn rate(lately: Lately) -> Rate {
    let hourly = |amount: u64| {
        u64::try_from(u128::from(amount) * 3600 / u128::from(seconds(lately))).unwrap_or(u64::MAX)
    };
    Rate {
        migrations_per_hour: hourly(lately.migrations),
        messages_per_hour: hourly(lately.mails),
        bytes_per_hour: hourly(lately.bytes),
    }
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
        assert_eq!(rate(lately).migrations_per_hour, 200);
        assert_eq!(eta(0, lately, now), None);
        assert_eq!(eta(1, Lately::default(), now), None);
        assert_eq!(eta(u64::MAX, lately, now), None);
        let first = Lately { seconds: 0, migrations: 1, ..Lately::default() };
        assert_eq!(rate(first).migrations_per_hour, 60);
    }
}
