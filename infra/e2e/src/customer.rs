use std::time::Duration;

use anyhow::{Result, bail};
use dmf_lab::poll_until;
use reqwest::Method;
use serde_json::{Value, json};

use crate::api::{Answer, Api, encode};

/// Longest time that a test waits for a migration.
const DEADLINE: Duration = Duration::from_mins(1);
/// States that a migration never leaves.
const ENDS: [&str; 3] = ["SUCCESS", "FAILURE", "ABORTED"];

/// A Source with its API key: who submits migrations and looks at them.
#[derive(Debug, Clone)]
pub struct Customer {
    api: Api,
    source: String,
    key: String,
}

impl Customer {
    pub(crate) fn new(api: Api, source: &str, key: &str) -> Self {
        Self { api, source: source.into(), key: key.into() }
    }

    /// The same customer by the way of other schedulers.
    #[must_use]
    pub fn through(&self, api: Api) -> Self {
        Self { api, ..self.clone() }
    }

    /// Name of the Source.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The API key.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Any request with this customer's key.
    pub async fn request(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Answer> {
        self.api.customer(&self.key, method, path, body).await
    }

    /// Submits a migration and returns its record.
    ///
    /// # Errors
    /// Another answer than 201.
    pub async fn submit(&self, body: &Value) -> Result<Value> {
        self.request(Method::POST, "/users/migrations", Some(body)).await?.expect(201)
    }

    /// Submits a further migration of a known user.
    pub async fn submit_again(&self, user: &str, phase: &str) -> Result<Value> {
        self.submit(&json!({ "sourceUid": user, "phase": phase })).await
    }

    /// The newest record of a user.
    pub async fn latest(&self, user: &str) -> Result<Value> {
        let path = format!("/users/{}/migrations/latest", encode(user));
        self.request(Method::GET, &path, None).await?.expect(200)
    }

    /// The first page of the records of a user, newest first.
    pub async fn history(&self, user: &str) -> Result<Value> {
        let path = format!("/users/{}/migrations", encode(user));
        self.request(Method::GET, &path, None).await?.expect(200)
    }

    /// Closes the newest record of a user.
    pub async fn close(&self, user: &str, status: &str) -> Result<Value> {
        let path = format!("/users/{}/migrations/close/latest/as/{status}", encode(user));
        self.request(Method::PUT, &path, None).await?.expect(200)
    }

    /// Waits until the newest record of a user has this status, and returns it.
    ///
    /// # Errors
    /// It has another one at the deadline, or ends with another one.
    pub async fn wait_for(&self, user: &str, status: &str) -> Result<Value> {
        let what = format!("{user} did not become {status}");
        let found = poll_until(&what, DEADLINE, async || {
            let record = self.latest(user).await.map_err(|error| format!("{error:#}"))?;
            let now = record["status"].as_str().unwrap_or_default();
            // A record that has ended otherwise never gets there.
            if now == status || ENDS.contains(&now) { Ok(record) } else { Err(record.to_string()) }
        })
        .await?;
        if found["status"] != status {
            bail!("{user} ended otherwise than {status}: {found:#}");
        }
        Ok(found)
    }
}
