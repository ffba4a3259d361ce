//! The manual's command lines against a scheduler with TLS: an operator's scripts go on to work.

#![allow(clippy::disallowed_methods, reason = "a test that starts a program")]

mod lines;
mod shell;

use std::time::Duration;

use anyhow::{Result, ensure};
use dmf_e2e::{Fleet, SourceHost};
use dmf_lab::{Folders, Seed, poll_until};
use serde_json::{Value, json};

use shell::{Printed, Shell};

/// Longest time that a migration or a start may take.
const DEADLINE: Duration = Duration::from_mins(1);
/// The user's password on the source, which the manual's commands have from the worker's configuration.
const PASSWORD: &str = "password-on-the-old-platform";

/// Runs a test in a shell; nothing is in the database but what it makes.
async fn in_shell(test: impl AsyncFnOnce(&Fleet, &Shell, &SourceHost) -> Result<()>) -> Result<()> {
    Fleet::builder()
        .started_workers(0)
        .worker_settings(&format!("dmf.doveadm.source.OldPlatform.imapc.master-password: {PASSWORD}\n"))
        .run(async |fleet| {
            let scheduler = fleet.secure_scheduler()?;
            scheduler.daemon().start()?;
            let host = fleet.open_host(3).await?;
            let shell = Shell::new(fleet, &scheduler, host.name(), host.proxy.port())?;
            poll_until("the scheduler did not get ready", DEADLINE, async || {
                match shell.run(lines::HEALTH).await {
                    Ok(Printed { status: 200, .. }) => Ok(()),
                    Ok(printed) => Err(printed.text),
                    Err(error) => Err(format!("{error:#}\n{}", scheduler.daemon().log())),
                }
            })
            .await?;
            test(fleet, &shell, &host).await?;
            scheduler.daemon().stop().await?;
            Ok(())
        })
        .await
}

/// Reviews until the latest migration of the user has ended, and returns it.
async fn review(shell: &Shell, line: &str, status: &str) -> Result<Value> {
    let record = poll_until("the migration did not end", DEADLINE, async || {
        let record = shell.run(line).await.and_then(|printed| printed.json(200));
        let record = record.map_err(|error| format!("{error:#}"))?;
        if record["stopped"].is_null() { Err(record.to_string()) } else { Ok(record) }
    })
    .await?;
    ensure!(record["status"] == status, "{record:#}");
    Ok(record)
}

#[tokio::test]
async fn a_migration_as_the_manual_runs_it() -> Result<()> {
    in_shell(async |fleet, shell, host| {
        let source = shell.run(lines::CREATE_SOURCE).await?.json(201)?;
        assert_eq!(
            source,
            json!({ "name": "OldPlatform", "apiKey": "3f1d7a52-9c1e-4b7e-8a55-6d2f0c9be417" })
        );
        let sourcehost = shell.run(lines::CREATE_SOURCEHOST).await?.json(201)?;
        assert_eq!(sourcehost["name"], host.name());
        assert_eq!(sourcehost["maxConnections"], 3);
        let options = sourcehost["migrationCommand1"]["options"].as_array().map_or(0, Vec::len);
        assert_eq!(options, 4, "{sourcehost:#}");
        assert_eq!(shell.run(lines::CREATE_TARGET).await?.json(201)?["name"], "default");
        shell.run(lines::CREATE_TARGET).await?.expect(409)?;

        // Lost before any worker took it, and closed by hand.
        let submitted = shell.run(lines::SUBMIT).await?.json(201)?;
        assert_eq!(submitted["sourceUid"], "jane_old");
        assert_eq!((&submitted["status"], &submitted["priority"]), (&json!("SCHEDULED"), &json!(true)));
        assert_eq!(shell.run(lines::REVIEW).await?.json(200)?, submitted);
        assert_eq!(shell.run(lines::CLOSE).await?.json(200)?["status"], "ABORTED");

        let truth = fleet.add_user("jane_old", PASSWORD, &Seed::new(Folders::Normal, 30))?;
        fleet.workers()[0].start()?;
        fleet.wait_for_worker(0).await?;
        shell.run(lines::SUBMIT_UNKNOWN).await?.json(201)?;
        let failed = review(shell, &lines::REVIEW.replace("jane_old", "nobody"), "FAILURE").await?;
        assert!(failed["details"].to_string().contains("AUTHENTICATIONFAILED"), "{failed:#}");
        assert!(!failed["details"].to_string().contains(PASSWORD), "{failed:#}");

        shell.run(lines::SUBMIT).await?.json(201)?;
        let done = review(shell, lines::REVIEW, "SUCCESS").await?;
        assert_eq!((&done["phase"], &done["backend"]), (&json!("PRE_SYNC"), &json!("default/worker-1")));
        for count in ["targetMessageCount", "sourceMessageCount", "syncMessageCount"] {
            assert_eq!(done[count], truth.messages(), "{count} of {done:#}");
        }
        shell.run(lines::SUBMIT_AGAIN).await?.json(201)?;
        let cut_over = review(shell, lines::REVIEW, "SUCCESS").await?;
        assert_eq!((&cut_over["phase"], &cut_over["syncMessageCount"]), (&json!("CUTOVER"), &json!(0)));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn levels_health_metrics_and_pages_as_the_manual_asks_for_them() -> Result<()> {
    in_shell(async |_, shell, _| {
        let level = json!({ "configuredLevel": "NOT_SPECIFIED", "effectiveLevel": "INFO" });
        assert_eq!(shell.run(lines::READ_LOGGER).await?.json(200)?, level);
        assert_eq!(shell.run(lines::SET_LOGGER).await?.expect(200)?, "");
        let level = json!({ "configuredLevel": "WARN", "effectiveLevel": "WARN" });
        assert_eq!(shell.run(lines::READ_LOGGER).await?.json(200)?, level);

        assert_eq!(shell.run(lines::HEALTH).await?.json(200)?, json!({ "status": "UP" }));
        let health = shell.run(lines::HEALTH_IN_FULL).await?.json(200)?;
        assert_eq!((&health["name"], &health["status"]), (&json!("api"), &json!("UP")));
        for part in ["jdbc", "compositeDiscoveryClient()", "service", "diskSpace"] {
            assert_eq!(health["details"][part]["status"], "UP", "{part} of {health:#}");
        }

        let names = shell.run(lines::METRICS).await?.json(200)?["names"].to_string();
        assert!(
            names.contains("\"process.uptime\"") && names.contains("\"http.server.requests\""),
            "{names}"
        );
        let uptime = shell.run(lines::METRIC).await?.json(200)?;
        assert_eq!(uptime["name"], "process.uptime");
        assert_eq!(uptime["measurements"][0]["statistic"], "VALUE");
        assert!(uptime["measurements"][0]["value"].as_f64().is_some_and(|secs| secs > 0.0), "{uptime:#}");
        let printed = shell.run(lines::PROMETHEUS).await?;
        assert!(printed.expect(200)?.contains("# TYPE http_server_requests_seconds "), "{}", printed.text);
        for guarded in [lines::METRICS, lines::PROMETHEUS] {
            let guarded = guarded.replace(" -u admin:admin-of-the-lab", "");
            shell.run(&guarded).await?.expect(401)?;
        }

        for page in ["rapidoc", "redoc", "swagger-ui"] {
            let printed = shell.run(&format!("curl https://@SCHEDULER/{page}")).await?;
            assert!(printed.expect(200)?.starts_with("<!doctype html>"), "{page}: {}", printed.text);
        }
        Ok(())
    })
    .await
}
