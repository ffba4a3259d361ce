//! `/sources/{source}/sourcehosts`: the mail servers of a Source.

pub mod create;
pub mod list;
pub mod read;

use dmf_shared::store::HostView;
use serde_json::{Value, json};

use crate::api::record::{object, time};

fn body(view: &HostView) -> Value {
    let (host, definition) = (&view.host, &view.host.definition);
    object([
        ("name", json!(definition.name)),
        ("port", json!(definition.port)),
        ("maxConnections", json!(definition.max_connections)),
        ("reservedForPriority", json!(definition.reserved_for_priority)),
        ("migrationCommand1", json!(definition.migration_command1)),
        ("migrationCommand2", json!(definition.migration_command2)),
        ("statusCommand", json!(definition.status_command)),
        ("paused", json!(host.paused)),
        ("suspendedUntil", json!(host.suspended_until.map(time))),
        ("suspendedReason", json!(host.suspended_reason)),
        ("connectionsInUse", json!(view.connections_in_use)),
    ])
}
