//! The REST API: one folder a resource, one file a route; beside them what all routes share.

pub mod access;
pub mod admin;
pub mod answer;
pub mod audit;
pub mod auth;
pub mod csv;
pub mod deadline;
pub mod error;
pub mod error_body;
pub mod fields;
pub mod health;
pub mod iso_time;
pub mod json;
pub mod kind;
pub mod limits;
pub mod migrations;
pub mod openapi;
pub mod path;
pub mod query;
pub mod ready;
pub mod record;
pub mod routes;
pub mod trace;
pub mod users;
pub mod v1;
pub mod versioning;
