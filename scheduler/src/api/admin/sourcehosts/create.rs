//! `POST /sources/{source}/sourcehosts`

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
};
use dmf_shared::store::{NewSourcehost, Source};

use super::{super::sources, Shown};
use crate::{
    api::{
        error::{ApiError, Result},
        fields::Fields,
        json::JsonBody,
        openapi::{Answer, Body, Doc, Tag},
        path::{self, Path, location},
    },
    app::App,
};

/// What the document says of [`create`].
pub const CREATE: Doc = Doc {
    id: "createSourcehost",
    summary: "Create a source host",
    description: "Its commands are checked now and not at run time. Warnings stand in the answer.",
    tag: Tag::Sourcehost,
    query: None,
    body: Some(Body::Json(|fields| {
        read(fields);
    })),
    answers: &[Answer::json::<Shown>(201, "The source host.")],
    refuses: &[(409, "This Source has a source host of this name.")],
};

/// Creates a source host. Its commands are checked now and not at run time.
pub async fn create(
    State(app): State<App>,
    Path(source): Path<String>,
    JsonBody(mut fields): JsonBody,
) -> Result<(StatusCode, HeaderMap, Json<Shown>)> {
    let source = sources::find(&app, &source).await?;
    let new = read(&mut fields);
    let mut warnings = fields.take_warnings();
    let new = fields.finish(|| new)?;
    app.store.create_sourcehost(source.id, &new).await.map_err(|error| {
        if error.is_conflict_on("sourcehosts_name") {
            ApiError::conflict("name: this Source has a source host of this name")
        } else {
            error.into()
        }
    })?;
    app.relay.notify_one();
    let shown = super::show(&app, &source, &new.name).await.map_err(ApiError::after_change)?;
    warnings.extend(shared_address(&app, &source, &new.name).await.map_err(ApiError::after_change)?);
    let host = path::encode(&new.name);
    let place = location(&format!("/dmf/admin/api/v2/sources/{}/sourcehosts/{host}", source.name));
    Ok((StatusCode::CREATED, place, Json(Shown { warnings, ..shown })))
}

/// Each Source counts its own connections: a server that stands under two gets the sum of both limits.
async fn shared_address(app: &App, source: &Source, host: &str) -> Result<Vec<String>> {
    let others = app.store.other_sources_of_host(source.id, host).await?;
    let warnings = others.into_iter().map(|other| {
        format!("name: {other} has a source host of this name, too; their limits are counted apart")
    });
    let warnings: Vec<String> = warnings.collect();
    for warning in &warnings {
        tracing::warn!(source = %source.name, host, "{warning}");
    }
    Ok(warnings)
}

fn read(fields: &mut Fields) -> Option<NewSourcehost> {
    let name = fields.name("name", 255);
    let name = fields.require("name", name);
    let max_connections = fields.number("maxConnections", 1, 100_000);
    let max_connections = fields.require("maxConnections", max_connections);
    let reserved_for_priority = fields.number("reservedForPriority", 0, 100_000).value().unwrap_or(0);
    if max_connections.is_some_and(|max| reserved_for_priority >= max) {
        fields.refuse("reservedForPriority", "must be less than maxConnections");
    }
    let port = fields.port("port").value();
    let migration_command1 = fields.command("migrationCommand1");
    let migration_command1 = fields.require("migrationCommand1", migration_command1);
    let migration_command2 = fields.optional_command("migrationCommand2").value();
    let status_command = fields.optional_command("statusCommand").value();
    Some(NewSourcehost {
        name: name?,
        port,
        max_connections: max_connections?,
        reserved_for_priority,
        migration_command1: migration_command1?,
        migration_command2,
        status_command,
    })
}
