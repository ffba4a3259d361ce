//! Processes that start while their database is away.

use std::time::Duration;

use anyhow::Result;
use dmf_e2e::Fleet;
use dmf_lab::poll_until;
use reqwest::Method;

const DEADLINE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn it_answers_at_once_that_it_is_down_obeys_sigterm_and_serves_when_the_database_comes() -> Result<()> {
    Fleet::builder()
        .workers(0)
        .run(async |fleet| {
            let scheduler = &fleet.schedulers()[0];
            let mariadb = fleet.lab().mariadb();
            assert_eq!(scheduler.stop().await?.code(), Some(0));
            mariadb.kill().await?;
            for is_frozen in [false, true] {
                if is_frozen {
                    mariadb.start().await?;
                    mariadb.pause();
                }
                scheduler.start()?;
                poll_until("the scheduler did not answer", DEADLINE, async || {
                    match fleet.api().anonymous("/health").await {
                        Ok(answer) if answer.status == 503 => Ok(()),
                        other => Err(format!("{other:?}")),
                    }
                })
                .await?;
                fleet.api().admin(Method::GET, "/sources", None).await?.expect(503)?;
                assert_eq!(scheduler.stop().await?.code(), Some(0), "{}", scheduler.log());
            }
            scheduler.start()?;
            mariadb.resume();
            fleet.wait_for_scheduler(0).await?;
            fleet.create_source("CustomerX").await?;
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_worker_whose_database_never_answers_obeys_sigterm() -> Result<()> {
    Fleet::builder()
        .workers(1)
        .started_workers(0)
        .run(async |fleet| {
            let (worker, mariadb) = (&fleet.workers()[0], fleet.lab().mariadb());
            mariadb.pause();
            worker.start()?;
            poll_until("the worker did not look at its doveadm", DEADLINE, async || {
                if worker.log().contains("doveadm found") { Ok(()) } else { Err(worker.log()) }
            })
            .await?;
            let status = worker.stop().await;
            mariadb.resume();
            assert_eq!(status?.code(), Some(0), "{}", worker.log());
            Ok(())
        })
        .await
}
