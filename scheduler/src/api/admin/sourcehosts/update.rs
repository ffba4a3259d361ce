//! `PUT /sources/{source}/sourcehosts/{host}`

use axum::{Json, extract::State};
use dmf_shared::store::SourcehostChange;

use super::{super::sources, Shown};
use crate::{
    api::{
        error::{ApiError, Result},
        fields::Fields,
        json::JsonBody,
        openapi::{Answer, Body, Doc, Tag},
        path::Path,
    },
    app::App,
};

/// What the document says of [`update`].
pub const UPDATE: Doc = Doc {
    id: "updateSourcehost",
    summary: "Change a source host",
    description: "Fields that are given are set, null clears. A lower maxConnections drains: nothing is killed.",
    tag: Tag::Sourcehost,
    query: None,
    body: Some(Body::Json(|fields| {
        read(fields);
    })),
    answers: &[Answer::json::<Shown>(200, "The source host as it is now.")],
    refuses: &[],
};

/// Changes the fields that are given. A lower `maxConnections` drains: nothing is killed.
pub async fn update(
    State(app): State<App>,
    Path((source, host)): Path<(String, String)>,
    JsonBody(mut fields): JsonBody,
) -> Result<Json<Shown>> {
    let source = sources::find(&app, &source).await?;
    let found = super::find(&app, &source, &host).await?;
    let change = read(&mut fields);
    let warnings = fields.take_warnings();
    let change = fields.finish(|| Some(change))?;
    if !app.store.update_sourcehost(found.host.id, &change).await? {
        // Gone since, or the two numbers don't fit together.
        super::find(&app, &source, &host).await?;
        return Err(ApiError::bad_request("reservedForPriority: must be less than maxConnections"));
    }
    tracing::info!(source = %source.name, host, "source host changed");
    app.relay.notify_one();
    let shown = super::show(&app, &source, &host).await.map_err(ApiError::after_change)?;
    Ok(Json(Shown { warnings, ..shown }))
}

fn read(fields: &mut Fields) -> SourcehostChange {
    let max_connections = fields.number("maxConnections", 1, 100_000);
    let reserved = fields.number("reservedForPriority", 0, 100_000);
    SourcehostChange {
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
    }
}
