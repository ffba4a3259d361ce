//! The API as its clients see it: the real router on a real MariaDB and Redis.

mod authorization;
mod body;
mod errors;
mod health;
mod migrations;
mod outage;
mod passwords;
mod random;
mod socket;
mod sourcehosts;
mod submit;
mod support;
mod walkthrough;
