//! SIGTERM to a worker: nothing new, wait for what runs, and after the grace time give it to others.

use std::time::Duration;

use anyhow::{Result, ensure};
use dmf_e2e::faults::Books;
use dmf_e2e::{Fleet, SourceHost};
use dmf_lab::{Folders, Seed, poll_until};

const PASSWORD: &str = "pw";
const DEADLINE: Duration = Duration::from_secs(20);

async fn wait_for_connections(host: &SourceHost, count: usize) -> Result<()> {
    poll_until("the source host did not see its users", DEADLINE, async || match host.proxy.open() {
        open if open == count => Ok(()),
        open => Err(format!("{open} connections instead of {count}")),
    })
    .await?;
    Ok(())
}

#[tokio::test]
async fn what_runs_is_finished_and_nothing_more_is_leased() -> Result<()> {
    Fleet::builder()
        .threads(1)
        .run(async |fleet| {
            let customer = fleet.create_source("CustomerX").await?;
            let host = fleet.add_host(&customer, 5).await?;
            host.proxy.stall(true);
            let seed = Seed::new(Folders::Normal, 20);
            let truth = fleet.add_user("running", PASSWORD, &seed)?;
            fleet.add_user("waiting", PASSWORD, &seed)?;
            customer.submit(&host.submission("running", PASSWORD)).await?;
            wait_for_connections(&host, 1).await?;
            customer.submit(&host.submission("waiting", PASSWORD)).await?;
            // In the queue before the stop, so that nothing but the stop keeps it there.
            let books = Books::open(fleet.lab(), customer.source());
            poll_until("the relay did not carry the second one", DEADLINE, async || {
                match books.outbox().await {
                    Ok(0) => Ok(()),
                    other => Err(format!("{other:?}")),
                }
            })
            .await?;
            let worker = &fleet.workers()[0];
            worker.terminate();
            poll_until("the worker did not begin to drain", DEADLINE, async || {
                if worker.log().contains("draining") { Ok(()) } else { Err(worker.log()) }
            })
            .await?;
            ensure!(worker.is_running(), "the worker left a running migration alone");
            assert_eq!(customer.latest("running").await?["status"], "SYNC");

            host.proxy.stall(false);
            let status = worker.wait().await?;
            assert_eq!(status.code(), Some(0));
            customer.wait_for("running", "SUCCESS").await?;
            fleet.expect_mail("running", &truth).await?;
            let waiting = customer.latest("waiting").await?;
            assert_eq!(waiting["status"], "SCHEDULED");
            assert_eq!(waiting.get("started"), None, "it was leased after the stop");

            worker.start()?;
            customer.wait_for("waiting", "SUCCESS").await?;
            Ok(())
        })
        .await
}

#[tokio::test]
async fn after_the_grace_time_it_is_killed_and_finished_by_another_worker() -> Result<()> {
    Fleet::builder()
        .workers(2)
        .started_workers(1)
        .grace_secs(1)
        .run(async |fleet| {
            let customer = fleet.create_source("CustomerX").await?;
            let host = fleet.add_host(&customer, 1).await?;
            host.proxy.stall(true);
            let truth = fleet.add_user("stuck", PASSWORD, &Seed::new(Folders::Normal, 20))?;
            customer.submit(&host.submission("stuck", PASSWORD)).await?;
            wait_for_connections(&host, 1).await?;
            let [first, second] = fleet.workers() else { unreachable!("two workers") };

            let status = first.stop().await?;
            assert_eq!(status.code(), Some(0));
            // The child is dead, and the record waits for somebody else.
            wait_for_connections(&host, 0).await?;
            assert_eq!(customer.latest("stuck").await?["status"], "SCHEDULED");
            assert_eq!(fleet.host_view(&customer, &host).await?["connectionsInUse"], 0);

            host.proxy.stall(false);
            second.start()?;
            let record = customer.wait_for("stuck", "SUCCESS").await?;
            assert_eq!(record["backend"], "default/worker-2");
            fleet.expect_mail("stuck", &truth).await?;
            assert!(host.proxy.max_open() <= host.limit);
            Ok(())
        })
        .await
}
