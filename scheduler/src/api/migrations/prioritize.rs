//! `PUT /users/{sourceUid}/migrations/latest/priority`

use axum::{Json, extract::State};
use dmf_shared::store::Prioritized;

use crate::{
    api::{
        auth::Customer,
        error::{ApiError, Result},
        fields::Fields,
        json::JsonBody,
        openapi::{Answer, Body, Doc, Tag},
        path::Path,
        record::Record,
    },
    app::App,
};

/// What the document says of [`prioritize`].
pub const PRIORITIZE: Doc = Doc {
    id: "prioritizeLatestMigration",
    summary: "Let the newest migration of a user go before others",
    description: "Or not any more. Only one that waits.",
    tag: Tag::Migration,
    query: None,
    body: Some(Body::Json(|fields| {
        read(fields);
    })),
    answers: &[Answer::json::<Record>(200, "The record as it is now.")],
    refuses: &[(409, "The migration does not wait any more.")],
};

/// Lets the newest migration of a user go before others, or not any more. 409 unless it waits.
pub async fn prioritize(
    State(app): State<App>,
    Customer(source): Customer,
    Path(source_uid): Path<String>,
    JsonBody(mut fields): JsonBody,
) -> Result<Json<Record>> {
    let priority = read(&mut fields);
    let priority = fields.finish(|| priority)?;
    let user = super::find_user(&app, &source, &source_uid).await?;
    let id = match app.store.prioritize_latest(&source, user.id, priority).await? {
        Prioritized::Done(id) => id,
        Prioritized::NotWaiting(id, status) => {
            let status = status.as_str();
            return Err(ApiError::conflict(format!("migration {id} does not wait any more: {status}")));
        }
        Prioritized::Nothing => return Err(ApiError::not_found("Migration")),
    };
    tracing::info!(migration = %id, priority, "priority changed by request");
    app.relay.notify_one();
    super::show(&app, &source, user.id, id).await.map_err(ApiError::after_change)
}

fn read(fields: &mut Fields) -> Option<bool> {
    let priority = fields.flag("priority");
    fields.require("priority", priority)
}
