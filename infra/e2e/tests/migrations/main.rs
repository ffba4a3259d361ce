//! What one migration does, on real processes and a real doveadm: what it counts, what it must not destroy, what
//! it shows and what it must not show.

#![allow(
    clippy::disallowed_methods,
    reason = "looks at processes and servers from outside; no product code is in it"
)]

mod canary;
mod command_log;
mod counts;
mod guards;
mod hooks;
mod odd;
mod policies;
mod progress;
mod verification;

use anyhow::{Context as _, Result, ensure};
use dmf_e2e::{Customer, Fleet, SourceHost};
use dmf_lab::poll_until;
use reqwest::Method;
use serde_json::Value;
use std::time::Duration;

/// Longest time for what follows from something else.
const DEADLINE: Duration = Duration::from_secs(40);
const PASSWORD: &str = "pw";

/// The last block of a step in a record's details.
fn block<'a>(record: &'a Value, step: &str) -> Result<&'a Value> {
    let blocks = record["details"].as_array().into_iter().flatten().rev();
    let mut blocks = blocks.filter_map(|block| block.get(step));
    blocks.next().with_context(|| format!("no block {step:?} in {record:#}"))
}

/// The sum of the numbers in an object.
fn sum(object: &Value) -> u64 {
    object.as_object().into_iter().flat_map(|object| object.values()).filter_map(Value::as_u64).sum()
}

/// A source host whose definition is changed before it is created.
async fn add_host_with(
    fleet: &Fleet,
    customer: &Customer,
    change: impl FnOnce(&mut Value),
) -> Result<SourceHost> {
    let host = fleet.open_host(2).await?;
    let mut definition = host.definition();
    change(&mut definition);
    let path = format!("/sources/{}/sourcehosts", customer.source());
    fleet.api().admin(Method::POST, &path, Some(&definition)).await?.expect(201)?;
    Ok(host)
}

/// Waits until the newest record of a user is as it should be, and returns it.
async fn wait_for(customer: &Customer, user: &str, what: &str, is: impl Fn(&Value) -> bool) -> Result<Value> {
    let found = poll_until(&format!("{user}: {what}"), DEADLINE, async || {
        let record = customer.latest(user).await.map_err(|error| format!("{error:#}"))?;
        if is(&record) { Ok(record) } else { Err(record.to_string()) }
    })
    .await?;
    Ok(found)
}

/// Waits until a running migration shows that it has saved mail, and returns the record.
async fn wait_for_progress(customer: &Customer, user: &str) -> Result<Value> {
    let record = wait_for(customer, user, "showed no progress", |record| {
        record["progress"]["saved"].as_u64() > Some(0) || record["status"] == "SUCCESS"
    })
    .await?;
    ensure!(record["status"] == "SYNC", "it ended too soon: {record}");
    ensure!(record["progress"]["step"] == "dsync" && record["progress"]["mailbox"].is_string(), "{record}");
    Ok(record)
}
