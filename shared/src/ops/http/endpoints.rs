//! The management endpoints: which are on, and which ask for the admin.

use std::collections::BTreeMap;

use crate::config::Reader;

/// The endpoints, and whether the anonymous may not see them unless the settings say otherwise.
const SENSITIVE: [(&str, bool); 5] =
    [("health", false), ("info", true), ("loggers", true), ("metrics", true), ("prometheus", true)];

#[derive(Debug, Clone, Copy)]
struct Endpoint {
    is_enabled: bool,
    is_sensitive: bool,
}

/// All endpoints by the first part of their path.
#[derive(Debug, Clone)]
pub struct Endpoints(BTreeMap<&'static str, Endpoint>);

impl Endpoints {
    /// Reads `endpoints.<name>.{enabled,sensitive}`, over `endpoints.all.*`, over the defaults.
    pub fn read(reader: &mut Reader<'_>) -> Self {
        let all_enabled = reader.optional_bool("endpoints.all.enabled");
        let all_sensitive = reader.optional_bool("endpoints.all.sensitive");
        let endpoints = SENSITIVE.into_iter().map(|(name, is_sensitive)| {
            let endpoint = Endpoint {
                is_enabled: reader.bool(&format!("endpoints.{name}.enabled"), all_enabled.unwrap_or(true)),
                is_sensitive: reader
                    .bool(&format!("endpoints.{name}.sensitive"), all_sensitive.unwrap_or(is_sensitive)),
            };
            (name, endpoint)
        });
        Self(endpoints.collect())
    }

    /// The endpoint that a path belongs to. `/health` and everything below it is one.
    fn of(&self, path: &str) -> Option<&Endpoint> {
        let first = path.trim_start_matches('/').split('/').next()?;
        self.0.get(first)
    }

    /// Whether a path belongs to one.
    pub(super) fn is_endpoint(&self, path: &str) -> bool {
        self.of(path).is_some()
    }

    /// False for paths of an endpoint that is switched off.
    pub(super) fn is_enabled(&self, path: &str) -> bool {
        self.of(path).is_none_or(|endpoint| endpoint.is_enabled)
    }

    /// True for paths of an endpoint that asks for the admin.
    pub(super) fn is_sensitive(&self, path: &str) -> bool {
        self.of(path).is_some_and(|endpoint| endpoint.is_sensitive)
    }
}
