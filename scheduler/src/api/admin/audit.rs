//! `GET /audit`

use axum::{Json, extract::State};
use dmf_shared::store::{AuditEntry, AuditFilter};
use serde_json::{Value, json};

use crate::{
    api::{
        error::Result,
        query::Query,
        record::{object, time},
    },
    app::App,
};

/// A page of the audit log, newest first.
pub async fn list(State(app): State<App>, Query(mut query): Query) -> Result<Json<Value>> {
    let (actor, from, until) = (query.text("actor"), query.time("from"), query.time("until"));
    let page = query.page();
    query.finish(|| Some(()))?;
    let filter = AuditFilter {
        actor: actor.value(),
        from: from.value(),
        until: until.value(),
        before: page.cursor,
        limit: page.limit,
    };
    let entries = app.store.audit(&filter).await?;
    let next = page.next(entries.iter().map(|entry| entry.id));
    let entries: Vec<Value> = entries.iter().map(body).collect();
    Ok(Json(object([("entries", json!(entries)), ("nextCursor", json!(next))])))
}

fn body(entry: &AuditEntry) -> Value {
    object([
        ("id", json!(entry.id)),
        ("time", json!(time(entry.at))),
        ("actor", json!(entry.intent.actor)),
        ("from", json!(entry.intent.peer)),
        ("requestId", json!(entry.intent.request_id)),
        ("method", json!(entry.intent.method)),
        ("path", json!(entry.intent.path)),
        ("fields", json!(entry.fields)),
        ("status", json!(entry.status)),
    ])
}
