//! The admin API, `/dmf/admin/api/v2`: HTTP Basic, one admin.

pub mod audit;
pub mod backends;
pub mod sourcehosts;
pub mod sources;
pub mod targets;
