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
    store::{RecordFilter, Source},
};
use serde_json::{Value, json};

use super::export;
use crate::{
    api::{
        auth::Customer,
        error::Result,
        fields::Fields,
        query::Query,
        record::{object, record},
    },
    app::App,
};

/// A page of records, newest first; `nextCursor` is there when there may be more. With `Accept: text/csv`
/// everything that the filters let through, as a stream.
pub async fn list(
    State(app): State<App>,
    Customer(source): Customer,
    headers: HeaderMap,
    Query(mut query): Query,
) -> Result<Response> {
    let filter = read(&app, &source, &mut query).await?;
    let page = query.page();
    let filter = query.finish(|| Some(filter))?;
    let before = page.cursor.map(JournalId);
    if wants_csv(&headers) {
        return Ok(export::csv(app, source, filter, before));
    }
    let records = app.store.records(&source, &filter, before, page.limit).await?;
    let next = page.next(records.iter().map(|record| record.id.0));
    let records: Vec<Value> = records.iter().map(record).collect();
    let body = object([("migrations", json!(records)), ("nextCursor", json!(next))]);
    Ok(Json(body).into_response())
}

/// Whether the client asks for CSV before it asks for JSON.
fn wants_csv(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let first = accept.split(',').map(|range| range.split(';').next().unwrap_or_default().trim());
    first.into_iter().find(|range| ["text/csv", "application/json", "*/*"].contains(range))
        == Some("text/csv")
}

async fn read(app: &App, source: &Source, query: &mut Fields) -> Result<RecordFilter> {
    let allowed = "one or more of SCHEDULED, SYNC, SUCCESS, FAILURE, ABORTED, separated by commas";
    let statuses = query.parsed("status", allowed, |text| text.split(',').map(status).collect());
    let phase = query.parsed("phase", "PRE_SYNC or CUTOVER", Phase::parse);
    let sourcehost = match query.text("sourcehost").value() {
        Some(name) => {
            let host = app.store.sourcehost_id(source.id, &name).await?;
            if host.is_none() {
                query.refuse("sourcehost", "this Source has no such source host");
            }
            host
        }
        None => None,
    };
    Ok(RecordFilter {
        statuses: statuses.value().unwrap_or_default(),
        phase: phase.value(),
        sourcehost,
        backend: query.text("backend").value(),
        created_from: query.time("createdFrom").value(),
        created_until: query.time("createdUntil").value(),
        stopped_from: query.time("stoppedFrom").value(),
        stopped_until: query.time("stoppedUntil").value(),
    })
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
        assert!(!wants("application/json") && !wants("*/*") && !wants("application/json, text/csv"));
        assert!(!wants_csv(&HeaderMap::new()));
    }
}
