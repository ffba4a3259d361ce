//! What an operator and a customer order while things are broken.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use dmf_lab::{Folders, Seed, poll_until};
use reqwest::Method;
use serde_json::{Value, json};

use super::field::Field;
use super::load::PASSWORD;
use crate::api::Answer;
use crate::settings::TARGET;

/// Longest time for one order: a schedule must not wait for what is broken.
const PATIENCE: Duration = Duration::from_secs(3);
/// Longest time for all that is owed, once nothing is broken.
const DEADLINE: Duration = Duration::from_mins(1);
/// Users of a Source that comes and goes.
const GUESTS: usize = 3;

/// Something that has to be carried out, however often it takes.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Order {
    method: Method,
    path: String,
    body: Option<Value>,
}

impl Order {
    pub(super) fn put(path: String, body: Option<Value>) -> Self {
        Self { method: Method::PUT, path, body }
    }
}

fn backend(number: usize) -> String {
    format!("/targets/{TARGET}/backends/worker-{}", number + 1)
}

impl Field {
    fn source_path(&self) -> String {
        format!("/sources/{}", self.customer.source())
    }

    fn host_path(&self, host: usize) -> String {
        format!("{}/sourcehosts/{}", self.source_path(), self.hosts[host].name())
    }

    /// Asks once; no answer is none.
    async fn ask(&self, order: &Order) -> Option<Answer> {
        let api = self.fleet.api();
        let asked = api.admin(order.method.clone(), &order.path, order.body.as_ref());
        tokio::time::timeout(PATIENCE, asked).await.ok()?.ok()
    }

    async fn ask_as_customer(&self, method: Method, path: &str, body: Option<&Value>) -> Option<Answer> {
        tokio::time::timeout(PATIENCE, self.customer.request(method, path, body)).await.ok()?.ok()
    }

    /// Asks for something whose answer may be anything.
    pub(super) async fn order(&self, path: String, body: Option<Value>) {
        self.ask(&Order::put(path, body)).await;
    }

    /// Has to be carried out before the end.
    pub(super) fn owe(&self, order: Order) {
        let mut owed = self.owed();
        if !owed.contains(&order) {
            owed.push(order);
        }
    }

    /// Tries all that is owed once. Gives what is left.
    pub(super) async fn pay(&self) -> Vec<Order> {
        let owed = self.owed().clone();
        for order in owed {
            let answer = self.ask(&order).await;
            if answer.is_some_and(|answer| answer.status < 300 || answer.status == 404) {
                self.owed().retain(|left| *left != order);
            }
        }
        self.owed().clone()
    }

    /// Everything as it was at the beginning. Nothing is broken any more.
    pub(super) async fn restore_orders(&self) -> Result<()> {
        self.owe(Order::put(self.source_path() + "/resume", None));
        for host in 0..self.hosts.len() {
            self.owe(Order::put(self.host_path(host) + "/resume", None));
            self.end_limit(host);
        }
        for worker in 0..self.fleet.workers().len() {
            self.owe(Order::put(backend(worker) + "/start", None));
            self.end_threads(worker);
        }
        poll_until("not every order was carried out", DEADLINE, async || match &self.pay().await[..] {
            [] => Ok(()),
            left => Err(format!("{left:?}")),
        })
        .await?;
        Ok(())
    }

    pub(super) async fn pause_source(&self) {
        self.order(self.source_path() + "/pause", None).await;
    }

    pub(super) fn resume_source(&self) {
        self.owe(Order::put(self.source_path() + "/resume", None));
    }

    pub(super) async fn pause_host(&self, host: usize) {
        self.order(self.host_path(host) + "/pause", None).await;
    }

    pub(super) fn resume_host(&self, host: usize) {
        self.owe(Order::put(self.host_path(host) + "/resume", None));
    }

    pub(super) async fn order_worker(&self, worker: usize, order: &str) {
        self.order(format!("{}/{order}", backend(worker)), None).await;
    }

    pub(super) fn start_worker_again(&self, worker: usize) {
        self.owe(Order::put(backend(worker) + "/start", None));
    }

    pub(super) async fn set_threads(&self, worker: usize, threads: u32) {
        self.order(backend(worker), Some(json!({ "maxThreads": threads }))).await;
    }

    pub(super) fn end_threads(&self, worker: usize) {
        self.owe(Order::put(backend(worker), Some(json!({ "maxThreads": null }))));
    }

    pub(super) async fn set_limit(&self, host: usize, limit: u32) {
        self.order(self.host_path(host), Some(json!({ "maxConnections": limit }))).await;
    }

    pub(super) fn end_limit(&self, host: usize) {
        let limit = self.hosts[host].limit;
        self.owe(Order::put(self.host_path(host), Some(json!({ "maxConnections": limit }))));
    }

    pub(super) async fn cancel(&self, user: &str) {
        let path = format!("/users/{user}/migrations/latest/cancel");
        let answer = self.ask_as_customer(Method::POST, &path, None).await;
        let Some(answer) = answer.filter(|answer| answer.status == 202) else { return };
        let Some(id) = answer.body["id"].as_u64() else { return };
        // From this epoch on there is no other claim, but for a failure command.
        let rows = self.books.rows().await.unwrap_or_default();
        if let Some(row) = rows.iter().find(|row| row.id == id) {
            self.promises().cancelled.insert(id, row.epoch);
        }
    }

    pub(super) async fn close(&self, user: &str) {
        let path = format!("/users/{user}/migrations/close/latest/as/ABORTED");
        match self.ask_as_customer(Method::PUT, &path, None).await {
            Some(answer) if answer.status == 200 => {
                self.promises().closed.extend(answer.body["id"].as_u64());
            }
            Some(answer) if answer.status < 500 => {}
            _ => {
                self.promises().maybe_closed.insert(user.to_owned());
            }
        }
    }

    pub(super) async fn prioritize(&self, user: &str) {
        let path = format!("/users/{user}/migrations/latest/priority");
        self.ask_as_customer(Method::PUT, &path, Some(&json!({ "priority": true }))).await;
    }

    pub(super) async fn delete_user(&self, user: &str) {
        let path = format!("/users/{user}");
        let answer = self.ask_as_customer(Method::DELETE, &path, None).await;
        if answer.is_none_or(|answer| answer.status == 204 || answer.status >= 500) {
            self.promises().forget(user);
        }
    }

    /// Another Source on a host of its own with some migrations.
    pub(super) async fn invite_guest(&self) -> Result<()> {
        let number = self.guests().len() + 1;
        let source = format!("Guest{number}");
        let host = Arc::new(self.fleet.open_host(1).await?);
        let definition = host.definition();
        let submissions: Vec<Value> =
            (1..=GUESTS).map(|guest| host.submission(&format!("guest{number}-{guest}"), PASSWORD)).collect();
        for body in &submissions {
            let user = body["sourceUid"].as_str().unwrap_or_default();
            self.fleet.add_user(user, PASSWORD, &Seed::new(Folders::Inbox, 2))?;
        }
        self.guests().push((source.clone(), host));
        let create =
            Order { method: Method::POST, path: "/sources".into(), body: Some(json!({ "name": source })) };
        let Some(created) = self.ask(&create).await.filter(|answer| answer.status == 201) else {
            return Ok(());
        };
        let path = format!("/sources/{source}/sourcehosts");
        self.ask(&Order { method: Method::POST, path, body: Some(definition) }).await;
        let key = created.body["apiKey"].as_str().unwrap_or_default();
        for body in &submissions {
            let submit = self.fleet.api().customer(key, Method::POST, "/users/migrations", Some(body));
            drop(tokio::time::timeout(PATIENCE, submit).await);
        }
        Ok(())
    }

    /// Deletes every such Source with all that waits and runs. A host with users can't be deleted before.
    pub(super) async fn expel_guests(&self) {
        let guests: Vec<(String, String)> =
            self.guests().iter().map(|(source, host)| (source.clone(), host.name())).collect();
        for (source, host) in guests {
            let path = format!("/sources/{source}/sourcehosts/{host}");
            self.ask(&Order { method: Method::DELETE, path, body: None }).await;
            let path = format!("/sources/{source}?force=true");
            self.owe(Order { method: Method::DELETE, path, body: None });
        }
    }
}
