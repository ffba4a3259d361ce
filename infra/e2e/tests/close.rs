//! Closing a running migration: the record at once, the child soon, the slot when the child is dead.

use std::time::Duration;

use anyhow::Result;
use dmf_e2e::Fleet;
use dmf_lab::{Folders, Seed, poll_until};
use reqwest::Method;

const PASSWORD: &str = "pw";
const DEADLINE: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_running_migration_is_closed_killed_and_frees_its_slot() -> Result<()> {
    Fleet::builder()
        .schedulers(2)
        .run(async |fleet| {
            let customer = fleet.create_source("CustomerX").await?;
            let host = fleet.add_host(&customer, 1).await?;
            host.proxy.stall(true);
            let seed = Seed::new(Folders::Normal, 20);
            for user in ["closed", "next"] {
                fleet.add_user(user, PASSWORD, &seed)?;
            }
            customer.submit(&host.submission("closed", PASSWORD)).await?;
            poll_until("no migration came to the source host", DEADLINE, async || {
                if host.proxy.open() == 1 { Ok(()) } else { Err("no connection") }
            })
            .await?;
            customer.submit(&host.submission("next", PASSWORD)).await?;
            assert_eq!(customer.latest("closed").await?["status"], "SYNC");

            let record = customer.close("closed", "ABORTED").await?;
            assert_eq!(record["status"], "ABORTED");
            // The next user's connection says that the child is dead and its slot was given on.
            poll_until("the next user did not get the slot", DEADLINE, async || {
                let next = customer.latest("next").await.map_err(|error| format!("{error:#}"))?;
                if next["status"] == "SYNC" && host.proxy.total() >= 2 {
                    Ok(())
                } else {
                    Err(next.to_string())
                }
            })
            .await?;
            assert_eq!(fleet.host_view(&customer, &host).await?["connectionsInUse"], 1);

            host.proxy.stall(false);
            customer.wait_for("next", "SUCCESS").await?;
            // What the worker made of the closed one was refused.
            assert_eq!(customer.latest("closed").await?["status"], "ABORTED");
            let again = "/users/closed/migrations/close/latest/as/SUCCESS";
            customer.request(Method::PUT, again, None).await?.expect(409)?;
            assert!(host.proxy.max_open() <= host.limit);
            assert!(host.proxy.overlaps().is_empty());

            // The user is free for another try.
            customer.submit_again("closed", "PRE_SYNC").await?;
            customer.wait_for("closed", "SUCCESS").await?;
            Ok(())
        })
        .await
}
