//! Which health indicators there are, by the original's keys.

use std::path::PathBuf;

use crate::config::Reader;

/// The indicators that both processes have.
#[derive(Debug, Clone)]
#[allow(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub struct HealthSettings {
    /// The name that every node of the report has (`micronaut.application.name`).
    pub application: String,
    /// MariaDB.
    pub jdbc: bool,
    /// Redis.
    pub redis: bool,
    /// The process itself, which is always up.
    pub service: bool,
    /// An empty list of services, which clients of the original may look for.
    pub discovery_client: bool,
    /// The disk.
    pub disk_space: Option<DiskSpace>,
}

/// The disk space indicator.
#[derive(Debug, Clone)]
pub struct DiskSpace {
    /// Any path on the file system.
    pub path: PathBuf,
    /// Fewer free bytes than this are DOWN.
    pub threshold_bytes: u64,
}

impl HealthSettings {
    /// Reads `endpoints.health.*`; `application` is the name unless the settings say another.
    pub fn read(reader: &mut Reader<'_>, application: &str) -> Self {
        let disk_space = DiskSpace {
            path: reader.path_or("endpoints.health.disk-space.path", "."),
            threshold_bytes: reader.size("endpoints.health.disk-space.threshold", 10 << 20, 0..=u64::MAX),
        };
        // Samples of the manual nest it under the server.
        let nested = "micronaut.server.application.name";
        let key = if reader.is_set(nested) { nested } else { "micronaut.application.name" };
        let application = reader.string_or(key, application);
        let mut is_on = |name: &str| reader.bool(&format!("endpoints.health.{name}.enabled"), true);
        Self {
            application,
            jdbc: is_on("jdbc"),
            redis: is_on("redis"),
            service: is_on("service"),
            discovery_client: is_on("discovery-client"),
            disk_space: is_on("disk-space").then_some(disk_space),
        }
    }
}
