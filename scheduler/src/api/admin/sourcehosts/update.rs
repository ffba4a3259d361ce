//! `PUT /sources/{source}/sourcehosts/{host}`

use axum::{Json, extract::State};
use dmf_shared::store::SourcehostChange;
use serde_json::Value;

use super::super::sources;
use crate::{
    api::{
        error::{ApiError, Result},
        fields::Fields,
        json::JsonBody,
        path::Path,
    },
    app::App,
};

/// Changes the fields that are given. A lower `maxConnections` drains: nothing is killed.
pub async fn update(
    State(app): State<App>,
    Path((source, host)): Path<(String, String)>,
    JsonBody(fields): JsonBody,
) -> Result<Json<Value>> {
    let source = sources::find(&app, &source).await?;
    let found = super::find(&app, &source, &host).await?;
    let (change, warnings) = read(fields)?;
    if !app.store.update_sourcehost(found.host.id, &change).await? {
        // Gone since, or the two numbers don't fit together.
        super::find(&app, &source, &host).await?;
        return Err(ApiError::bad_request("reservedForPriority: must be less than maxConnections"));
    }
    tracing::info!(source = %source.name, host, "source host changed");
    app.relay.notify_one();
    let shown = super::show(&app, &source, &host).await.map_err(ApiError::after_change)?;
    Ok(Json(super::with_warnings(shown, &warnings)))
}

/// What is changed, and what is doubtful about it.
fn read(mut fields: Fields) -> Result<(SourcehostChange, Vec<String>)> {
    let max_connections = fields.number("maxConnections", 1, 100_000);
    let reserved = fields.number("reservedForPriority", 0, 100_000);
    let change = SourcehostChange {
        max_connections: fields.kept("maxConnections", max_connections),
        // What stands there when nothing is reserved.
        reserved_for_priority: reserved.nested().map(Option::unwrap_or_default),
        port: fields.port("port").nested(),
        migration_command1: {
            let command = fields.command("migrationCommand1");
            fields.kept("migrationCommand1", command)
        },
        migration_command2: fields.optional_command("migrationCommand2").nested(),
        status_command: fields.optional_command("statusCommand").nested(),
    };
    let warnings = fields.take_warnings();
    Ok((fields.finish(|| Some(change))?, warnings))
}
