use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use dmf_lab::{Folders, Seed, Seeded};
use fastrand::Rng;
use reqwest::Method;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::field::Field;
use crate::faults::{Row, Violation};

/// Every user's password on the source.
pub(super) const PASSWORD: &str = "pw";
/// Messages that a user begins with.
const MESSAGES: u64 = 8;
/// Between two looks at who could be submitted.
const INTERVAL: Duration = Duration::from_millis(300);
/// So many that had ended are submitted again at a look, for as long as things break.
const AGAIN: usize = 6;
/// Longest time from the end of all faults to the last success.
const PATIENCE: Duration = Duration::from_mins(10);
/// A migration that may not start at once waits at most so long.
const LONGEST_WAIT_MS: u64 = 4_000;

/// The users and what their mailboxes hold.
#[derive(Debug)]
pub(super) struct Load {
    pub(super) users: Vec<String>,
    pub(super) truths: BTreeMap<String, Seeded>,
    host_of: BTreeMap<String, usize>,
    /// Users with mail that no migration was submitted for since.
    behind: BTreeSet<String>,
    /// Users whose target may hold mail of another life: after a cutover.
    cut_over: BTreeSet<String>,
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
        let (behind, cut_over) = (BTreeSet::new(), BTreeSet::new());
        Ok(Self { users, truths, host_of, behind, cut_over, rng: Rng::with_seed(!seed) })
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
                let again: Vec<String> = ended.into_iter().take(AGAIN).map(|row| row.user.clone()).collect();
                self.submit_again(field, &again).await?;
            }
            tokio::time::sleep(INTERVAL).await;
        }
        Ok(())
    }

    /// Submits whoever did not succeed until everybody has. Nothing breaks any more.
    pub(super) async fn finish(&mut self, field: &Field) -> Result<()> {
        let end = Instant::now() + PATIENCE;
        loop {
            field.look_for_ended().await?;
            let newest = newest(field.books.rows().await?);
            self.submit_new(field, &newest, end).await;
            let mut open = self.users.len() - newest.len();
            for row in newest.values() {
                let is_behind = self.behind.contains(&row.user);
                if row.status != "SUCCESS" || is_behind {
                    open += 1;
                    if row.is_terminal() {
                        let body = json!({ "sourceUid": row.user, "phase": "PRE_SYNC" });
                        self.submit(field, body).await;
                    }
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

    /// Those who have no row yet, or none any more.
    async fn submit_new(&mut self, field: &Field, newest: &BTreeMap<String, Row>, end: Instant) {
        let new: Vec<String> =
            self.users.iter().filter(|user| !newest.contains_key(*user)).cloned().collect();
        for user in new {
            if Instant::now() > end {
                return;
            }
            let body = field.hosts[self.host_of[&user]].submission(&user, PASSWORD);
            if !self.submit(field, body).await {
                return;
            }
        }
    }

    /// Further migrations of some users, sometimes with new mail on the source, one by one or all at once.
    async fn submit_again(&mut self, field: &Field, users: &[String]) -> Result<()> {
        let mut bodies = Vec::new();
        for user in users {
            if self.rng.u8(..3) == 0 {
                let added = field.fleet.source().append(user, "INBOX", 2)?;
                if let Some(truth) = self.truths.get_mut(user) {
                    truth.add("INBOX", added);
                }
                self.behind.insert(user.clone());
            }
            bodies.push(self.draw_again(user));
        }
        if self.rng.u8(..3) == 0 {
            self.submit_all(field, bodies).await;
        } else {
            for body in bodies {
                self.submit(field, body).await;
            }
        }
        Ok(())
    }

    fn draw_again(&mut self, user: &str) -> Value {
        let phase = if self.rng.u8(..4) == 0 { "CUTOVER" } else { "PRE_SYNC" };
        let mut body = json!({ "sourceUid": user, "phase": phase, "priority": self.rng.u8(..5) == 0 });
        if self.rng.u8(..6) == 0 {
            let wait = Duration::from_millis(self.rng.u64(..LONGEST_WAIT_MS));
            if let Ok(time) = (OffsetDateTime::now_utc() + wait).format(&Rfc3339) {
                body["notBefore"] = time.into();
            }
        }
        body
    }

    /// A target that was cut over, or whose user the framework has forgotten, may hold mail that is not its own.
    fn force(&mut self, field: &Field, body: &mut Value) {
        let Some(user) = body["sourceUid"].as_str() else { return };
        if body["phase"] == "CUTOVER" {
            self.cut_over.insert(user.to_owned());
        }
        if self.cut_over.contains(user) || field.promises().deleted.contains(user) {
            body["force"] = true.into();
        }
    }

    /// Whether a scheduler took it. One that is broken may say anything, but a 201 is a promise.
    async fn submit(&mut self, field: &Field, mut body: Value) -> bool {
        self.force(field, &mut body);
        match field.customer.request(Method::POST, "/users/migrations", Some(&body)).await {
            Ok(answer) if answer.status == 201 => {
                self.promised(field, &body["sourceUid"], &answer.body["id"]);
                true
            }
            // 503: nobody can say; 400: the user was deleted meanwhile, so that the rest is missing.
            Ok(answer) if matches!(answer.status, 400 | 409 | 503) => answer.status != 503,
            Ok(answer) => {
                let text = format!("the submit {body} was answered {} {}", answer.status, answer.body);
                field.note(Violation::general(text));
                false
            }
            Err(_) => false,
        }
    }

    /// The same in one request.
    async fn submit_all(&mut self, field: &Field, mut bodies: Vec<Value>) {
        for body in &mut bodies {
            self.force(field, body);
        }
        let answered = field.fleet.api().bulk(field.customer.key(), &bodies).await;
        for line in answered.unwrap_or_default() {
            if line["status"] == "CREATED" {
                self.promised(field, &line["sourceUid"], &line["id"]);
            }
        }
    }

    fn promised(&mut self, field: &Field, user: &Value, id: &Value) {
        if let (Some(user), Some(id)) = (user.as_str(), id.as_u64()) {
            self.behind.remove(user);
            field.promises().submitted.insert(id, user.to_owned());
        }
    }
}

/// The newest row of each user.
fn newest(rows: Vec<Row>) -> BTreeMap<String, Row> {
    rows.into_iter().map(|row| (row.user.clone(), row)).collect()
}
