//! Processes that start while their database is away.

use std::time::Duration;

use anyhow::Result;
use dmf_e2e::Fleet;
use dmf_lab::{Port, poll_until};
use reqwest::Method;
use serde_json::{Value, json};

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

/// Its port answers all the while: 503 until the worker can work.
#[tokio::test]
async fn a_worker_that_waits_for_its_database_says_that_it_is_down() -> Result<()> {
    let port = Port::reserve()?;
    let settings = format!(
        "micronaut.server: {{ host: 127.0.0.1, port: {} }}\nhttp.admin: {{ username: admin, password: secret }}\n",
        port.number()
    );
    let ask = async |path: &str| -> Result<(u16, Value)> {
        let url = format!("http://127.0.0.1:{}{path}", port.number());
        let answer = reqwest::Client::new().get(url).basic_auth("admin", Some("secret")).send().await?;
        Ok((answer.status().as_u16(), answer.json().await?))
    };
    Fleet::builder()
        .workers(1)
        .started_workers(0)
        .worker_settings(&settings)
        .run(async |fleet| {
            let (worker, mariadb) = (&fleet.workers()[0], fleet.lab().mariadb());
            mariadb.kill().await?;
            worker.start()?;
            let wait_for = async |path: &str, status: u16| {
                poll_until(&format!("{path} did not answer {status}"), DEADLINE, async || {
                    match ask(path).await {
                        Ok((found, body)) if found == status => Ok(body),
                        other => Err(format!("{other:?}: {}", worker.log())),
                    }
                })
                .await
            };
            let health = wait_for("/health", 503).await?;
            assert_eq!(health["details"]["jdbc"]["status"], "DOWN", "{health:#}");
            assert_eq!(health["details"]["backend"]["status"], "DOWN", "{health:#}");
            assert_eq!(health["details"]["redis"]["status"], "UP", "{health:#}");
            assert_eq!(ask("/health/readiness").await?.0, 503);
            assert_eq!(ask("/health/liveness").await?.0, 200);
            assert!(ask("/info").await?.1["doveadm"]["version"].is_string());

            mariadb.start().await?;
            let health = wait_for("/health", 200).await?;
            assert_eq!(health["details"]["backend"]["status"], "UP", "{health:#}");
            wait_for("/health/readiness", 200).await?;
            fleet.wait_for_worker(0).await
        })
        .await
}

#[tokio::test]
async fn a_redis_that_throws_away_is_told_at_start_and_in_health() -> Result<()> {
    Fleet::builder()
        .workers(1)
        .started_workers(0)
        .run(async |fleet| {
            let mut redis =
                redis::Client::open(fleet.lab().redis().url())?.get_multiplexed_async_connection().await?;
            let mut set = redis::cmd("CONFIG");
            set.arg("SET").arg("maxmemory-policy");
            set.clone().arg("allkeys-lru").exec_async(&mut redis).await?;
            let (scheduler, worker) = (&fleet.schedulers()[0], &fleet.workers()[0]);
            scheduler.restart().await?;
            worker.start()?;
            for daemon in [scheduler, worker] {
                poll_until("it did not tell of the policy", DEADLINE, async || {
                    let log = daemon.log();
                    let is_told =
                        log.lines().any(|line| line.contains("ERROR") && line.contains("allkeys-lru"));
                    if is_told { Ok(()) } else { Err(log) }
                })
                .await?;
            }
            poll_until("health did not get DOWN", DEADLINE, async || {
                match fleet.api().anonymous("/health").await {
                    Ok(answer) if answer.status == 503 && answer.body == json!({ "status": "DOWN" }) => {
                        Ok(())
                    }
                    other => Err(format!("{other:?}")),
                }
            })
            .await?;
            // It works all the same, and is well again when Redis is.
            fleet.create_source("CustomerX").await?;
            set.arg("noeviction").exec_async(&mut redis).await?;
            fleet.wait_for_scheduler(0).await
        })
        .await
}

#[tokio::test]
async fn a_redis_that_lets_nobody_in_is_told_with_its_reason() -> Result<()> {
    Fleet::builder()
        .workers(1)
        .started_workers(0)
        .run(async |fleet| {
            let mut redis =
                redis::Client::open(fleet.lab().redis().url())?.get_multiplexed_async_connection().await?;
            let mut set = redis::cmd("CONFIG");
            set.arg("SET").arg("requirepass").arg("open-sesame").exec_async(&mut redis).await?;
            let worker = &fleet.workers()[0];
            worker.start()?;
            poll_until("the worker did not say why", DEADLINE, async || {
                let log = worker.log();
                let is_told =
                    log.lines().any(|line| line.contains("can't be reached") && line.contains("NOAUTH"));
                if is_told { Ok(()) } else { Err(log) }
            })
            .await?;
            let mut unset = redis::cmd("CONFIG");
            unset.arg("SET").arg("requirepass").arg("").exec_async(&mut redis).await?;
            fleet.wait_for_worker(0).await
        })
        .await
}
