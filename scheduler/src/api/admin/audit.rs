//! `GET /audit`

use axum::{Json, extract::State};
use dmf_shared::store::{self, AuditFilter};
use serde::Serialize;
use serde_json::Value;
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::{
    api::{
        answer::{free_object, is_left_out},
        error::Result,
        fields::Fields,
        openapi::{Answer, Doc, Tag},
        query::{Page, Query},
        record::time,
    },
    app::App,
};

/// What the document says of [`list`].
pub const LIST: Doc = Doc {
    id: "listAudit",
    summary: "List changes, newest first",
    description: "Every change by API has an entry; values that may hold a secret are left out.",
    tag: Tag::Audit,
    query: Some(|fields| {
        read(fields);
    }),
    body: None,
    answers: &[Answer::json::<AuditPage>(200, "A page of entries.")],
    refuses: &[],
};

/// A page of the audit log.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuditPage {
    entries: Vec<AuditEntry>,
    #[serde(skip_serializing_if = "is_left_out")]
    next_cursor: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct AuditEntry {
    id: u64,
    #[schema(format = DateTime)]
    time: String,
    actor: String,
    #[serde(skip_serializing_if = "is_left_out")]
    from: Option<String>,
    #[serde(skip_serializing_if = "is_left_out")]
    request_id: Option<String>,
    method: String,
    path: String,
    #[serde(skip_serializing_if = "is_left_out")]
    #[schema(schema_with = free_object)]
    fields: Option<Value>,
    #[serde(skip_serializing_if = "is_left_out")]
    status: Option<u16>,
}

/// A page of the audit log, newest first.
pub async fn list(State(app): State<App>, Query(mut query): Query) -> Result<Json<AuditPage>> {
    let Wanted { actor, from, until, page } = read(&mut query);
    query.finish(|| Some(()))?;
    let filter = AuditFilter { actor, from, until, before: page.cursor, limit: page.limit };
    let entries = app.store.audit(&filter).await?;
    let next_cursor = page.next(entries.iter().map(|entry| entry.id));
    Ok(Json(AuditPage { entries: entries.into_iter().map(shown).collect(), next_cursor }))
}

struct Wanted {
    actor: Option<String>,
    from: Option<OffsetDateTime>,
    until: Option<OffsetDateTime>,
    page: Page,
}

fn read(query: &mut Fields) -> Wanted {
    Wanted {
        actor: query.text("actor").value(),
        from: query.time("from").value(),
        until: query.time("until").value(),
        page: query.page(),
    }
}

fn shown(entry: store::AuditEntry) -> AuditEntry {
    let intent = entry.intent;
    AuditEntry {
        id: entry.id,
        time: time(entry.at),
        actor: intent.actor,
        from: intent.peer,
        request_id: intent.request_id,
        method: intent.method,
        path: intent.path,
        fields: entry.fields,
        status: entry.status,
    }
}
