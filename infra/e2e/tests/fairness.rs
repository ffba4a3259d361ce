//! Who waits for whom: nobody for a saturated source host, and nobody before a priority migration.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use dmf_e2e::{Customer, Fleet, SourceHost, faults::Books};
use dmf_lab::{Folders, Seed, poll_until};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

const PASSWORD: &str = "pw";
const BACKLOG: usize = 1000;
/// Requests that are under way at a time.
const AT_A_TIME: usize = 16;
const DEADLINE: std::time::Duration = std::time::Duration::from_secs(20);

async fn submit_new(fleet: &Fleet, customer: &Customer, host: &SourceHost, user: &str) -> Result<()> {
    fleet.add_user(user, PASSWORD, &Seed::new(Folders::Inbox, 5))?;
    customer.submit(&host.submission(user, PASSWORD)).await?;
    Ok(())
}

fn expect_within_limits(hosts: &[&SourceHost]) {
    for host in hosts {
        let (most, limit) = (host.proxy.max_open(), host.limit);
        assert!(most <= limit, "{} saw {most} connections, its limit is {limit}", host.name());
        assert_eq!(
            host.proxy.overlaps(),
            BTreeMap::new(),
            "users had several connections at {}",
            host.name()
        );
    }
}

#[tokio::test]
async fn a_saturated_source_host_does_not_delay_another() -> Result<()> {
    Fleet::builder()
        .schedulers(2)
        .workers(2)
        .run(async |fleet| {
            let customer = fleet.create_source("CustomerX").await?;
            let slow = fleet.add_host(&customer, 1).await?;
            let quick = fleet.add_host(&customer, 3).await?;
            slow.proxy.stall(true);
            let slow_users: Vec<String> = (0..12).map(|n| format!("slow{n}@example.com")).collect();
            for user in &slow_users {
                submit_new(fleet, &customer, &slow, user).await?;
            }
            poll_until("nobody came to the slow host", DEADLINE, async || match slow.proxy.open() {
                0 => Err("no connection"),
                _ => Ok(()),
            })
            .await?;

            // More than the fleet's threads, so that whoever waited for the slow host would be seen.
            let quick_users: Vec<String> = (0..12).map(|n| format!("quick{n}@example.com")).collect();
            for user in &quick_users {
                submit_new(fleet, &customer, &quick, user).await?;
            }
            for user in &quick_users {
                customer.wait_for(user, "SUCCESS").await?;
            }
            assert_eq!(slow.proxy.open(), 1, "the slow host is still busy with its first user");
            assert_eq!(fleet.host_view(&customer, &slow).await?["connectionsInUse"], 1);

            slow.proxy.stall(false);
            for user in &slow_users {
                customer.wait_for(user, "SUCCESS").await?;
            }
            expect_within_limits(&[&slow, &quick]);
            assert_eq!(slow.proxy.max_per_user().len(), slow_users.len());
            Ok(())
        })
        .await
}

/// Submits many migrations of users whom the source does not know: each ends soon.
async fn submit_backlog(customer: &Customer, hosts: &[&SourceHost]) -> Result<Vec<String>> {
    let users: Vec<String> = (0..BACKLOG).map(|n| format!("backlog{n}")).collect();
    let mut requests = JoinSet::new();
    for (user, host) in users.iter().zip(hosts.iter().cycle()) {
        if requests.len() >= AT_A_TIME {
            requests.join_next().await.transpose()?.transpose()?;
        }
        let (customer, body) = (customer.clone(), host.submission(user, PASSWORD));
        requests.spawn(async move { customer.submit(&body).await });
    }
    while let Some(submitted) = requests.join_next().await {
        submitted??;
    }
    Ok(users)
}

/// Times of records sort as text.
fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// When each of these users' migrations was started; those that wait are left out.
async fn starts(customer: &Customer, users: &[String]) -> Result<Vec<String>> {
    let mut requests = JoinSet::new();
    let mut starts = Vec::new();
    let mut take = |record: Value| starts.extend(record["started"].as_str().map(str::to_owned));
    for user in users {
        if requests.len() >= AT_A_TIME
            && let Some(record) = requests.join_next().await
        {
            take(record??);
        }
        let (customer, user) = (customer.clone(), user.clone());
        requests.spawn(async move { customer.latest(&user).await });
    }
    while let Some(record) = requests.join_next().await {
        take(record??);
    }
    starts.sort_unstable();
    Ok(starts)
}

#[tokio::test]
async fn priority_overtakes_a_backlog_of_its_own_and_of_other_source_hosts() -> Result<()> {
    const THREADS: usize = 2;
    Fleet::builder()
        .schedulers(2)
        .workers(2)
        .threads(1)
        .started_workers(0)
        .run(async |fleet| {
            let customer = fleet.create_source("CustomerX").await?;
            fleet
                .api()
                .admin(Method::POST, "/targets", Some(&json!({ "name": "default" })))
                .await?
                .expect(201)?;
            let (first, second) = (fleet.add_host(&customer, 5).await?, fleet.add_host(&customer, 5).await?);
            let idle = fleet.add_host(&customer, 1).await?;
            let backlog = submit_backlog(&customer, &[&first, &second]).await?;

            // The last to come, of a busy host and of one without a backlog.
            let urgent = ["urgent-first", "urgent-idle"];
            for (user, host) in urgent.into_iter().zip([&first, &idle]) {
                fleet.add_user(user, PASSWORD, &Seed::new(Folders::Inbox, 5))?;
                customer.submit(&host.priority_submission(user, PASSWORD)).await?;
            }
            // What the queue does not know yet can't overtake.
            let books = Books::open(fleet.lab(), "CustomerX");
            poll_until("the queue does not know of all migrations", DEADLINE, async || {
                match books.outbox().await.map_err(|error| format!("{error:#}"))? {
                    0 => Ok(()),
                    left => Err(format!("{left} entries of the outbox are left")),
                }
            })
            .await?;
            for worker in fleet.workers() {
                worker.start()?;
            }
            let mut last_start = String::new();
            for user in urgent {
                let record = customer.wait_for(user, "SUCCESS").await?;
                last_start = last_start.max(text(&record["started"]).to_owned());
            }
            // Each worker has one thread: what began before them would have taken it.
            let before = starts(&customer, &backlog).await?;
            let before = before.iter().filter(|start| **start < last_start).count();
            ensure!(before < THREADS, "{before} of the backlog began before the priority migrations");

            // And one that comes while the backlog is being worked off.
            fleet.add_user("late", PASSWORD, &Seed::new(Folders::Inbox, 5))?;
            poll_until("the backlog was not begun", DEADLINE, async || {
                match first.proxy.total() + second.proxy.total() {
                    total @ ..10 => Err(format!("{total} connections")),
                    _ => Ok(()),
                }
            })
            .await?;
            let submitted = customer.submit(&second.priority_submission("late", PASSWORD)).await?;
            let late = customer.wait_for("late", "SUCCESS").await?;
            let all = starts(&customer, &backlog).await?;
            let (from, to) = (text(&submitted["created"]), text(&late["started"]));
            let between = all.iter().filter(|start| from < start.as_str() && start.as_str() < to).count();
            // A migration is on its way to the queue for some milliseconds, in which a thread may take another.
            ensure!(
                between <= 10 * THREADS,
                "{between} of the backlog began while a priority migration waited"
            );
            ensure!(all.len() < BACKLOG, "the backlog is worked off, so nothing was overtaken");
            expect_within_limits(&[&first, &second, &idle]);
            Ok(())
        })
        .await
}
