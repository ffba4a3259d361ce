//! `GET /users/migrations`

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, header},
    response::{IntoResponse as _, Response},
};
use dmf_shared::{
    domain::{
        ids::JournalId,
        migration::{Phase, Status},
    },
    store::{self, RecordFilter, Source},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{export, progress};
use crate::{
    api::{
        answer::is_left_out,
        auth::Customer,
        error::Result,
        fields::Fields,
        kind::{self, Kind},
        openapi::{Answer, Doc, Tag},
        query::{Page, Query},
        record::Record,
        users::given::Places,
    },
    app::App,
};

/// Longest name of a worker with its target, in bytes: that of the column.
const BACKEND_LIMIT: usize = 330;

/// What the document says of [`list`].
pub const LIST: Doc = Doc {
    id: "listMigrations",
    summary: "List migrations of all users",
    description: "Newest first, page by page. With Accept: text/csv everything that the filters let through, as a stream.",
    tag: Tag::Migration,
    query: Some(|fields| {
        read(fields);
    }),
    body: None,
    answers: &[Answer::json_or_csv::<MigrationPage>(200, "A page of records, or all of them as CSV.")],
    refuses: &[],
};

/// A page of records.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MigrationPage {
    migrations: Vec<Record>,
    #[serde(skip_serializing_if = "is_left_out")]
    next_cursor: Option<String>,
}

impl MigrationPage {
    /// These records, as the answer to this request for a page.
    pub(super) async fn show(app: &App, source: &Source, page: Page, records: &[store::Record]) -> Self {
        let next_cursor = page.next(records.iter().map(|record| record.id.0));
        Self { migrations: progress::show_all(app, source, records).await, next_cursor }
    }
}

/// A page of records, newest first; `nextCursor` is there when there may be more. With `Accept: text/csv`
/// everything that the filters let through, as a stream.
pub async fn list(
    State(app): State<App>,
    Customer(source): Customer,
    headers: HeaderMap,
    Query(mut query): Query,
) -> Result<Response> {
    let Wanted { mut filter, sourcehost, page } = read(&mut query);
    if let Some(name) = sourcehost {
        (_, filter.sourcehost) =
            Places::default().find(&app, &source, (None, Some(name)), &mut query).await?;
    }
    query.finish(|| Some(()))?;
    let before = page.cursor.map(JournalId);
    if wants_csv(&headers) {
        return Ok(export::csv(app, source, filter, before));
    }
    let records = app.store.records(&source, &filter, before, page.limit).await?;
    let shown = MigrationPage::show(&app, &source, page, &records).await;
    Ok(([(header::VARY, "accept")], Json(shown)).into_response())
}

/// Whether the client asks for CSV before it asks for JSON.
fn wants_csv(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let first = accept.split(',').filter(|range| !is_refused(range));
    let first = first.map(|range| range.split(';').next().unwrap_or_default().trim());
    let mut first = first;
    first.find(|range| ["text/csv", "application/json", "*/*"].contains(range)) == Some("text/csv")
}

/// Whether a range says that it is not wanted at all (`q=0`).
fn is_refused(range: &str) -> bool {
    let mut parameters = range.split(';').skip(1).filter_map(|parameter| parameter.trim().split_once('='));
    parameters.any(|(name, value)| {
        name.trim().eq_ignore_ascii_case("q") && value.trim().parse::<f32>().is_ok_and(|q| q <= 0.0)
    })
}

struct Wanted {
    /// Without the source host, which has to be looked up.
    filter: RecordFilter,
    sourcehost: Option<String>,
    page: Page,
}

fn read(query: &mut Fields) -> Wanted {
    let statuses = query.parsed("status", Kind::SomeOf(kind::STATUS_FILTERS), |text| {
        text.split(',').map(status).collect::<Option<Vec<_>>>()
    });
    let phase = query.parsed("phase", Kind::OneOf(kind::PHASES), Phase::parse);
    let sourcehost = query.text("sourcehost").value();
    let filter = RecordFilter {
        statuses: statuses.value().unwrap_or_default(),
        phase: phase.value(),
        sourcehost: None,
        backend: query.text_of("backend", BACKEND_LIMIT).value(),
        created_from: query.time("createdFrom").value(),
        created_until: query.time("createdUntil").value(),
        stopped_from: query.time("stoppedFrom").value(),
        stopped_until: query.time("stoppedUntil").value(),
    };
    Wanted { filter, sourcehost, page: query.page() }
}

/// A status as a filter takes it: the original's other names, too.
fn status(text: &str) -> Option<Status> {
    match text {
        "FAILED" => Some(Status::Failure),
        "IN_PROGRESS" => Some(Status::Sync),
        name => Status::parse(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_accepts() {
        let wants =
            |accept: &str| wants_csv(&HeaderMap::from_iter([(header::ACCEPT, accept.parse().unwrap())]));
        assert!(wants("text/csv") && wants("text/csv;q=1, */*") && wants("text/html, text/csv"));
        assert!(
            !wants("text/csv;q=0")
                && !wants("text/csv; Q=0.0, */*")
                && wants("application/json;q=0, text/csv")
        );
        assert!(!wants("application/json") && !wants("*/*") && !wants("application/json, text/csv"));
        assert!(!wants_csv(&HeaderMap::new()));
    }
}
