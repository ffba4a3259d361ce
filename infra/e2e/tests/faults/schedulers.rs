//! Schedulers that die or freeze with work on their hands, and what is submitted twice.

use anyhow::{Result, ensure};
use dmf_e2e::{Customer, Fleet};
use dmf_lab::{Folders, Seed};
use reqwest::Method;
use tokio::task::JoinSet;

use crate::field::{Field, MORE_THAN_SILENCE, PASSWORD, on_field};

/// The Source's customer, asking one scheduler only.
async fn submit_at(field: &Field<'_>, scheduler: usize, user: &str) -> Result<()> {
    field.fleet.add_user(user, PASSWORD, &Seed::new(Folders::Inbox, 5))?;
    let (api, body) = (field.fleet.api().only(scheduler - 1), field.host.submission(user, PASSWORD));
    let answer = api.customer(field.customer.key(), Method::POST, "/users/migrations", Some(&body)).await?;
    answer.expect(201)?;
    Ok(())
}

#[tokio::test]
async fn what_a_dead_scheduler_has_not_relayed_is_relayed_by_another() -> Result<()> {
    on_field(Fleet::builder().schedulers(2), 2, async |field| {
        // It commits, but can't tell the queue.
        field.fleet.links(field.scheduler(1)).redis.cut().await?;
        submit_at(field, 1, "one").await?;
        field.scheduler(1).kill().await?;
        field.customer.wait_for("one", "SUCCESS").await?;
        field.fleet.links(field.scheduler(1)).heal().await?;
        field.scheduler(1).start()?;
        field.fleet.wait_for_scheduler(0).await
    })
    .await
}

#[tokio::test]
async fn what_the_only_scheduler_has_not_relayed_is_relayed_after_its_restart() -> Result<()> {
    on_field(Fleet::builder(), 2, async |field| {
        let link = field.fleet.links(field.scheduler(1));
        link.redis.cut().await?;
        submit_at(field, 1, "one").await?;
        field.scheduler(1).kill().await?;
        link.heal().await?;
        ensure!(field.books.row("one").await?.status == "SCHEDULED", "run without a relay");
        field.scheduler(1).start()?;
        field.fleet.wait_for_scheduler(0).await?;
        field.customer.wait_for("one", "SUCCESS").await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_a_frozen_scheduler_holds_is_relayed_by_another() -> Result<()> {
    on_field(Fleet::builder().schedulers(2), 2, async |field| {
        let link = field.fleet.links(field.scheduler(1));
        // It holds the entries of the outbox while it waits for the queue.
        link.redis.stall(true);
        submit_at(field, 1, "one").await?;
        field.scheduler(1).pause();
        submit_at(field, 2, "two").await?;
        field.customer_of(2).wait_for("two", "SUCCESS").await?;
        field.customer_of(2).wait_for("one", "SUCCESS").await?;
        link.redis.stall(false);
        field.scheduler(1).resume();
        field.fleet.wait_for_scheduler(0).await
    })
    .await
}

#[tokio::test]
async fn the_same_submit_at_once_is_taken_once() -> Result<()> {
    on_field(Fleet::builder().schedulers(2), 1, async |field| {
        field.host.proxy.stall(true);
        let truth = field.fleet.add_user("one", PASSWORD, &Seed::new(Folders::Inbox, 5))?;
        let body = field.host.submission("one", PASSWORD);
        let mut submits = JoinSet::new();
        for _ in 0..20 {
            let (customer, body): (Customer, _) = (field.customer.clone(), body.clone());
            submits
                .spawn(async move { customer.request(Method::POST, "/users/migrations", Some(&body)).await });
        }
        let mut answers = Vec::new();
        while let Some(answer) = submits.join_next().await {
            answers.push(answer??);
        }
        let taken: Vec<_> = answers.iter().filter(|answer| answer.status == 201).collect();
        ensure!(taken.len() == 1, "{} submits were taken", taken.len());
        let id = taken[0].body["id"].clone();
        for answer in answers.iter().filter(|answer| answer.status != 201) {
            let named = answer.body.to_string().contains(&id.to_string());
            ensure!(answer.status == 409 && named, "answered {} {}", answer.status, answer.body);
        }
        let rows = field.books.rows().await?;
        ensure!(rows.len() == 1, "{rows:?}");
        field.expect_success(&[("one".to_owned(), truth)].into()).await
    })
    .await
}

#[tokio::test]
async fn schedulers_that_wake_have_watched_nothing_and_reap_nothing() -> Result<()> {
    on_field(Fleet::builder().schedulers(2), 1, async |field| {
        let truths = field.submit_stalled(&["one"]).await?;
        for scheduler in field.fleet.schedulers() {
            scheduler.pause();
        }
        field.wait_for_beats_in_mariadb("one", MORE_THAN_SILENCE).await?;
        for scheduler in field.fleet.schedulers() {
            scheduler.resume();
        }
        // The same lease all the time, or this fails.
        field.wait_for_beats_in_mariadb("one", MORE_THAN_SILENCE).await?;
        field.expect_success(&truths).await?;
        field.expect_undisturbed("one").await
    })
    .await
}
