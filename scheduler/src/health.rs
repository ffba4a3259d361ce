//! The scheduler's health indicators.

use dmf_shared::{
    ops::health::{Health, Report},
    queue::{self, Queue},
    store::{self, Store},
};
use serde_json::json;

use crate::{schema::Schema, settings::Settings};

/// MariaDB, Redis, the disk, and two that clients of the original look for.
pub fn indicators(settings: &Settings, store: &Store, schema: &Schema, queue: &Queue) -> Health {
    let (store, schema, queue) = (store.clone(), schema.clone(), queue.clone());
    let url = settings.database.url.display();
    Health::builder("api")
        .indicator("jdbc", move || {
            let (store, schema, url) = (store.clone(), schema.clone(), url.clone());
            async move { Report::composite(vec![(url, database(store.version().await, &schema))]) }
        })
        .indicator("redis", move || {
            let queue = queue.clone();
            async move { redis(queue.server().await) }
        })
        .indicator("compositeDiscoveryClient()", || async {
            Report::up().with_facts(json!({ "services": {} }))
        })
        .indicator("service", || async { Report::up() })
        .disk_space(settings.disk_space.path.clone(), settings.disk_space.threshold_bytes)
        .build()
}

fn database(version: store::Result<String>, schema: &Schema) -> Report {
    match version {
        Ok(_) if !schema.is_ready() => Report::down("the database schema is not up to date yet"),
        Ok(version) => Report::up().with_facts(json!({ "database": "MariaDB", "version": version })),
        Err(error) => Report::down(&error.to_string()),
    }
}

fn redis(server: queue::Result<queue::Server>) -> Report {
    match server {
        Ok(server) if server.eviction_policy == "noeviction" => {
            Report::up().with_facts(json!({ "version": server.version }))
        }
        // It would throw jobs away when its memory is full.
        Ok(_) => Report::down("maxmemory-policy must be noeviction"),
        Err(error) => Report::down(&error.to_string()),
    }
}
