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
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    api::{
        answer::{command, command_or_null, is_left_out},
        error::{ApiError, Result},
        record::time,
    },
    app::App,
};

/// The source host that a path names; 404 when this Source has none of that name.
async fn find(app: &App, source: &Source, name: &str) -> Result<HostView> {
    let found = app.store.sourcehosts(source.id, Some(name)).await?.pop();
    found.ok_or_else(|| ApiError::not_found("Source host"))
}

/// The source host as it is now, with its use.
async fn show(app: &App, source: &Source, name: &str) -> Result<Shown> {
    let found = find(app, source, name).await?;
    let queued = app.store.queued_by_host(source).await?;
    Ok(Shown::new(&found, &queued))
}

/// A source host, as answers show it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Sourcehost)]
pub struct Shown {
    name: String,
    #[serde(skip_serializing_if = "is_left_out")]
    port: Option<u16>,
    max_connections: u32,
    reserved_for_priority: u32,
    #[schema(schema_with = command)]
    migration_command1: Command,
    #[serde(skip_serializing_if = "is_left_out")]
    #[schema(schema_with = command_or_null)]
    migration_command2: Option<Command>,
    #[serde(skip_serializing_if = "is_left_out")]
    #[schema(schema_with = command_or_null)]
    status_command: Option<Command>,
    paused: bool,
    #[serde(skip_serializing_if = "is_left_out")]
    suspended: Option<Suspension>,
    connections_in_use: u64,
    queued: u64,
    /// In the answer to the request that has them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

/// Why and until when nothing starts from a source host.
#[derive(Debug, Serialize, ToSchema)]
pub struct Suspension {
    #[serde(skip_serializing_if = "is_left_out")]
    reason: Option<String>,
    #[schema(format = DateTime)]
    until: String,
}

impl Suspension {
    /// That of a host, while it lasts.
    fn of(view: &HostView) -> Option<Self> {
        let until = view.host.suspended_until.filter(|_| view.suspended)?;
        Some(Self { reason: view.host.suspended_reason.clone(), until: time(until) })
    }
}

impl Shown {
    fn new(view: &HostView, queued: &[(HostId, u64)]) -> Self {
        let (host, definition) = (&view.host, &view.host.definition);
        Self {
            name: definition.name.clone(),
            port: definition.port,
            max_connections: definition.max_connections,
            reserved_for_priority: definition.reserved_for_priority,
            migration_command1: definition.migration_command1.without_passwords(),
            migration_command2: definition.migration_command2.as_ref().map(Command::without_passwords),
            status_command: definition.status_command.as_ref().map(Command::without_passwords),
            paused: host.paused,
            suspended: Suspension::of(view),
            connections_in_use: view.connections_in_use,
            queued: queued.iter().find(|(id, _)| *id == host.id).map_or(0, |(_, waiting)| *waiting),
            warnings: Vec::new(),
        }
    }
}
