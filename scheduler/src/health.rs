//! The scheduler's management endpoints: its health indicators, and what it tells of itself.

use dmf_shared::{
    ops::{
        Telemetry,
        health::{Health, Report},
        http::{Management, Readiness},
    },
    queue::Queue,
    store::Store,
};
use serde_json::json;

use crate::{schema::Schema, settings::Settings};

/// Why the database can't be used yet although it answers.
const SCHEMA_AWAITED: &str = "the database schema is not up to date yet";

/// What the endpoints tell of. Redis is not needed: a submit survives its absence.
pub fn management(
    settings: &Settings,
    store: &Store,
    schema: &Schema,
    queue: &Queue,
    readiness: Readiness,
    telemetry: Option<Telemetry>,
) -> Management {
    Management {
        health: indicators(settings, store, schema, queue),
        needed: &["jdbc"],
        readiness,
        info: json!({ "build": {
            "name": env!("CARGO_PKG_NAME"),
            "version": env!("CARGO_PKG_VERSION"),
            "revision": option_env!("DMF_REVISION").filter(|revision| !revision.is_empty()),
        }}),
        telemetry,
    }
}

/// MariaDB, Redis, the disk, and two that clients of the original look for.
fn indicators(settings: &Settings, store: &Store, schema: &Schema, queue: &Queue) -> Health {
    let on = &settings.health;
    let mut health = Health::builder(&on.application);
    if on.jdbc {
        let (store, schema, url) = (store.clone(), schema.clone(), settings.database.url.display());
        health = health.indicator("jdbc", move || {
            let (store, schema, url) = (store.clone(), schema.clone(), url.clone());
            async move {
                match store.version().await {
                    Ok(_) if !schema.is_ready() => Report::database(url, Err::<String, _>(SCHEMA_AWAITED)),
                    version => Report::database(url, version),
                }
            }
        });
    }
    if on.redis {
        let queue = queue.clone();
        health =
            health.indicator("redis", move || {
                let queue = queue.clone();
                async move {
                    Report::redis(queue.server().await.map(|found| (found.version, found.eviction_policy)))
                }
            });
    }
    health.common(on).build()
}
