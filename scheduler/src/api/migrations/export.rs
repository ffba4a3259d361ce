//! Records as CSV, page by page, so that an export of any length takes the memory of one page.

use axum::{
    body::{Body, Bytes},
    http::header,
    response::{IntoResponse as _, Response},
};
use dmf_shared::{
    domain::ids::JournalId,
    store::{self, RecordFilter, Source},
};
use futures::{TryFutureExt as _, stream};
use serde_json::Value;
use tracing::{Instrument as _, Span};

use crate::{
    api::{csv, query::MAX_LIMIT, record::Record},
    app::App,
};

/// The columns: the fields of a record, without `details` and `verification`, which are no single values.
const COLUMNS: [&str; 20] = [
    "id",
    "sourceUid",
    "created",
    "status",
    "phase",
    "priority",
    "notBefore",
    "started",
    "stopped",
    "modified",
    "backend",
    "attempt",
    "targetMessageCount",
    "targetMailboxSize",
    "sourceMessageCount",
    "sourceMailboxSize",
    "expungedMessageCount",
    "syncMessageCount",
    "syncSpeed",
    "error",
];

/// Where an export stands.
enum Next {
    Header(Option<JournalId>),
    Page(JournalId),
    End,
}

/// All records that the filter lets through, newest first, below `before`. When the database fails on the
/// way the answer is cut off, so that nobody takes it for the whole.
pub fn csv(app: App, source: Source, filter: RecordFilter, before: Option<JournalId>) -> Response {
    // The request's: the stream lives on when the handler is done.
    let span = Span::current();
    let pages = stream::try_unfold(Next::Header(before), move |next| {
        let (app, source, filter) = (app.clone(), source.clone(), filter.clone());
        let page = async move {
            let (mut text, before) = match next {
                Next::Header(before) => (csv::record(COLUMNS), before),
                Next::Page(before) => (String::new(), Some(before)),
                Next::End => return Ok::<_, store::Error>(None),
            };
            let records = app.store.records(&source, &filter, before, MAX_LIMIT).await?;
            for record in &records {
                text.push_str(&line(record));
            }
            let next = match records.last() {
                Some(last) if records.len() == MAX_LIMIT as usize => Next::Page(last.id),
                _ => Next::End,
            };
            Ok(Some((Bytes::from(text), next)))
        };
        page.inspect_err(|error| {
            tracing::warn!(error = error as &dyn std::error::Error, "an export was cut off");
        })
        .instrument(span.clone())
    });
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8; header=present"),
        (header::VARY, "accept"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"migrations.csv\""),
    ];
    (headers, Body::from_stream(pages)).into_response()
}

fn line(found: &store::Record) -> String {
    let mut body = serde_json::to_value(Record::from(found)).unwrap_or_default();
    if let Some(error) = first_error(&body) {
        body["error"] = error;
    }
    let cells = COLUMNS.map(|column| match body.get(column) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => csv::harmless(text),
        Some(other) => other.to_string(),
    });
    csv::record(cells.iter().map(String::as_str))
}

/// The first sentence of the first block of `details` that has errors.
fn first_error(record: &Value) -> Option<Value> {
    let blocks = record.get("details")?.as_array()?;
    let mut bodies = blocks.iter().filter_map(Value::as_object).flat_map(serde_json::Map::values);
    bodies.find_map(|block| block.get("errors")?.as_array()?.first().cloned())
}
