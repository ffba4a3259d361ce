use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use dmf_lab::{Folders, Seed, Seeded};
use fastrand::Rng;
use reqwest::Method;
use serde_json::json;

use super::field::Field;
use crate::faults::Row;

const PASSWORD: &str = "pw";
/// Messages that a user begins with.
const MESSAGES: u64 = 8;
/// Between two looks at who could be submitted.
const INTERVAL: Duration = Duration::from_millis(300);
/// So many that had ended are submitted again at a look, for as long as things break.
const AGAIN: usize = 6;
/// Longest time from the end of all faults to the last success.
const PATIENCE: Duration = Duration::from_mins(10);

/// The users, what their mailboxes hold, and what the API has promised.
#[derive(Debug)]
pub(super) struct Load {
    pub(super) users: Vec<String>,
    pub(super) truths: BTreeMap<String, Seeded>,
    /// Rows whose creation was answered.
    pub(super) answered: BTreeSet<u64>,
    host_of: BTreeMap<String, usize>,
    rng: Rng,
}

impl Load {
    /// Gives mail to so many users.
    pub(super) fn prepare(field: &Field, count: u32, seed: u64) -> Result<Self> {
        let users: Vec<String> = (0..count).map(|number| format!("user{number:04}")).collect();
        let (mut truths, mut host_of) = (BTreeMap::new(), BTreeMap::new());
        for (number, user) in users.iter().enumerate() {
            let seeded = field.fleet.add_user(user, PASSWORD, &Seed::new(Folders::Inbox, MESSAGES))?;
            truths.insert(user.clone(), seeded);
            host_of.insert(user.clone(), number % field.hosts.len());
        }
        Ok(Self { users, truths, answered: BTreeSet::new(), host_of, rng: Rng::with_seed(!seed) })
    }

    /// Submits whoever is idle, again and again, until `end`.
    pub(super) async fn drive(&mut self, field: &Field, end: Instant) -> Result<()> {
        while Instant::now() < end {
            // While MariaDB is away nobody knows who is idle.
            if let Ok(rows) = field.books.rows().await {
                let newest = newest(rows);
                self.submit_new(field, &newest, end).await;
                let mut ended: Vec<&Row> = newest.values().filter(|row| row.is_terminal()).collect();
                self.rng.shuffle(&mut ended);
                for row in ended.into_iter().take(AGAIN) {
                    self.submit_again(field, &row.user).await?;
                }
            }
            tokio::time::sleep(INTERVAL).await;
        }
        Ok(())
    }

    /// Submits whoever did not succeed until everybody has. Nothing breaks any more.
    pub(super) async fn finish(&mut self, field: &Field) -> Result<()> {
        let end = Instant::now() + PATIENCE;
        loop {
            let newest = newest(field.books.rows().await?);
            self.submit_new(field, &newest, end).await;
            let mut open = self.users.len() - newest.len();
            for row in newest.values().filter(|row| row.status != "SUCCESS") {
                open += 1;
                if row.is_terminal() {
                    self.resubmit(field, &row.user).await;
                }
            }
            if open == 0 {
                return Ok(());
            }
            if Instant::now() > end {
                let left: Vec<_> = newest.values().filter(|row| row.status != "SUCCESS").take(20).collect();
                bail!("{open} users did not succeed within {} s: {left:?}", PATIENCE.as_secs());
            }
            tokio::time::sleep(INTERVAL).await;
        }
    }

    /// Those who have no row yet.
    async fn submit_new(&mut self, field: &Field, newest: &BTreeMap<String, Row>, end: Instant) {
        let new: Vec<String> =
            self.users.iter().filter(|user| !newest.contains_key(*user)).cloned().collect();
        for user in new {
            if Instant::now() > end {
                return;
            }
            let body = field.hosts[self.host_of[&user]].submission(&user, PASSWORD);
            if !self.submit(field, &body).await {
                return;
            }
        }
    }

    /// A further migration of a user, sometimes with new mail on the source.
    async fn submit_again(&mut self, field: &Field, user: &str) -> Result<()> {
        if self.rng.u8(..3) == 0 {
            let added = field.fleet.source().append(user, "INBOX", 2)?;
            if let Some(truth) = self.truths.get_mut(user) {
                truth.add("INBOX", added);
            }
        }
        self.resubmit(field, user).await;
        Ok(())
    }

    async fn resubmit(&mut self, field: &Field, user: &str) {
        self.submit(field, &json!({ "sourceUid": user, "phase": "PRE_SYNC" })).await;
    }

    /// Whether a scheduler took it. One that is broken may say anything, but a 201 is a promise.
    async fn submit(&mut self, field: &Field, body: &serde_json::Value) -> bool {
        match field.customer.request(Method::POST, "/users/migrations", Some(body)).await {
            Ok(answer) if answer.status == 201 => {
                self.answered.extend(answer.body["id"].as_u64());
                true
            }
            Ok(answer) if matches!(answer.status, 409 | 503) => answer.status == 409,
            Ok(answer) => {
                field.note(format!("a submit was answered {} {}", answer.status, answer.body));
                false
            }
            Err(_) => false,
        }
    }
}

/// The newest row of each user.
fn newest(rows: Vec<Row>) -> BTreeMap<String, Row> {
    rows.into_iter().map(|row| (row.user.clone(), row)).collect()
}
