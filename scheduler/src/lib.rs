//! The scheduler: REST API and background duties of the migration fleet. Any number of instances run
//! side by side; none of them holds state that another needs.

pub mod api;
pub mod app;
pub mod census;
pub mod duty;
pub mod gen_certs;
pub mod health;
pub mod reaper;
pub mod rebuild;
pub mod reconciler;
pub mod relay;
pub mod retention;
pub mod rotate;
pub mod schema;
pub mod settings;
pub mod submitter;
pub mod summaries;
