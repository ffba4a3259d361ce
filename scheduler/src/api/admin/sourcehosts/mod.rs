//! `/sources/{source}/sourcehosts`: the mail servers of a Source.

pub mod create;
pub mod delete;
pub mod list;
pub mod pause;
pub mod read;
pub mod update;

use dmf_shared::{
    domain::{command::Command, ids::HostId},
    store::{HostView, Source},
};
use serde_json::{Value, json};

use crate::{
    api::{
        error::{ApiError, Result},
        record::{object, time},
    },
    app::App,
};

/// The source host that a path names; 404 when this Source has none of that name.
async fn find(app: &App, source: &Source, name: &str) -> Result<HostView> {
    let found = app.store.sourcehosts(source.id, Some(name)).await?.pop();
    found.ok_or_else(|| ApiError::not_found("Source host"))
}

/// The source host as it is now, with its use.
async fn show(app: &App, source: &Source, name: &str) -> Result<Value> {
    let found = find(app, source, name).await?;
    let queued = app.store.queued_by_host(source).await?;
    Ok(body(&found, &queued))
}

/// The same with what is doubtful about it.
fn with_warnings(mut shown: Value, warnings: &[String]) -> Value {
    if !warnings.is_empty() {
        shown["warnings"] = json!(warnings);
    }
    shown
}

fn body(view: &HostView, queued: &[(HostId, u64)]) -> Value {
    let (host, definition) = (&view.host, &view.host.definition);
    object([
        ("name", json!(definition.name)),
        ("port", json!(definition.port)),
        ("maxConnections", json!(definition.max_connections)),
        ("reservedForPriority", json!(definition.reserved_for_priority)),
        ("migrationCommand1", json!(definition.migration_command1.without_passwords())),
        ("migrationCommand2", json!(definition.migration_command2.as_ref().map(Command::without_passwords))),
        ("statusCommand", json!(definition.status_command.as_ref().map(Command::without_passwords))),
        ("paused", json!(host.paused)),
        ("suspendedUntil", json!(host.suspended_until.map(time))),
        ("suspendedReason", json!(host.suspended_reason)),
        ("connectionsInUse", json!(view.connections_in_use)),
        ("queued", json!(queued.iter().find(|(id, _)| *id == host.id).map_or(0, |(_, waiting)| *waiting))),
    ])
}
