//! The management endpoints as the document describes them; what answers is in `ops::http::management`, which
//! the worker serves too.

pub mod health;
pub mod info;
pub mod loggers;
pub mod metrics;
