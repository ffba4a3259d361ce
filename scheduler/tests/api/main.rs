//! The API as its clients see it: the real router on a real MariaDB and Redis.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that can't go on panics where it stands")]

mod access;
mod audit;
mod authorization;
mod body;
mod bulk;
mod bulk_stream;
mod contract;
mod crowding;
mod deletion;
mod encoding;
mod errors;
mod health;
mod limits;
mod list;
mod log;
mod management;
mod migrations;
mod openapi;
mod orders;
mod outage;
mod pages;
mod passwords;
mod random;
mod request_id;
mod rotate;
mod settings;
mod socket;
mod sourcehosts;
mod submit;
mod summary;
mod support;
mod together;
mod users;
mod v1;
mod walkthrough;
mod wire;
