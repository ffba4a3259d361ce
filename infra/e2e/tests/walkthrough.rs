//! The manual's way through a first migration (§3.6), by REST against real processes.

use anyhow::{Context as _, Result, ensure};
use dmf_e2e::{Customer, Fleet};
use dmf_lab::{Folders, Seed};
use reqwest::Method;
use serde_json::{Value, json};

const USER: &str = "source_user1";
const RIGHT: &str = "right-Pass word\"1\\";
const WRONG: &str = "wrong-password-1";

/// The block of a step in a record's details.
fn block<'a>(record: &'a Value, step: &str) -> Result<&'a Value> {
    let mut blocks = record["details"].as_array().into_iter().flatten();
    blocks.find_map(|block| block.get(step)).with_context(|| format!("no block {step:?} in {record:#}"))
}

fn steps(record: &Value) -> Vec<&str> {
    let blocks = record["details"].as_array().into_iter().flatten();
    blocks.filter_map(|block| block.as_object()?.keys().next().map(String::as_str)).collect()
}

async fn expect_no_password(customer: &Customer, fleet: &Fleet) -> Result<()> {
    let history = customer.history(USER).await?.to_string();
    let escaped = RIGHT.replace('\\', r"\\").replace('"', r#"\""#);
    for password in [RIGHT, &escaped, WRONG] {
        ensure!(!history.contains(password), "a password is in the records: {history}");
        for daemon in fleet.schedulers().iter().chain(fleet.workers()) {
            ensure!(!daemon.log().contains(password), "a password is in the log of {}", daemon.name());
        }
    }
    Ok(())
}

#[tokio::test]
async fn the_walk_through_of_the_manual() -> Result<()> {
    Fleet::builder()
        .schedulers(2)
        .workers(2)
        .run(async |fleet| {
            // 1. Create a Source, with a key of one's own.
            let key = "b270b24a-711d-47ee-8bdc-f59ad5c1abf2";
            let body = json!({ "name": "CustomerX", "apiKey": key });
            let created = fleet.api().admin(Method::POST, "/sources", Some(&body)).await?.expect(201)?;
            assert_eq!(created, body);
            let customer = fleet.customer("CustomerX", key);

            // 2. Create a source host.
            let host = fleet.open_host(2).await?;
            let path = "/sources/CustomerX/sourcehosts";
            fleet.api().admin(Method::POST, path, Some(&host.definition())).await?.expect(201)?;
            assert_eq!(fleet.host_view(&customer, &host).await?["connectionsInUse"], 0);

            // 3. The target is there: the first worker has made it.
            let target = json!({ "name": "default" });
            fleet.api().admin(Method::POST, "/targets", Some(&target)).await?.expect(409)?;

            // 4. and 5. Submit with a wrong password, and review.
            let truth = fleet.add_user(USER, RIGHT, &Seed::new(Folders::Odd, 80))?;
            let submitted = customer.submit(&host.submission(USER, WRONG)).await?;
            assert_eq!(submitted["status"], "SCHEDULED");
            let failed = customer.wait_for(USER, "FAILURE").await?;
            assert_eq!(failed["id"], submitted["id"]);
            expect_authentication_failure(&failed)?;

            // The same user with the right password; all else is known by now.
            let repaired = json!({ "sourceUid": USER, "phase": "PRE_SYNC", "password": RIGHT });
            customer.submit(&repaired).await?;
            let done = customer.wait_for(USER, "SUCCESS").await?;
            expect_success(&done, truth.messages())?;
            fleet.expect_mail(USER, &truth).await?;

            // Mail that came in since, moved by a submit of user and phase alone.
            let mut truth = truth;
            truth.add("INBOX", fleet.source().append(USER, "INBOX", 3)?);
            customer.submit_again(USER, "CUTOVER").await?;
            let cut_over = customer.wait_for(USER, "SUCCESS").await?;
            assert_eq!(cut_over["phase"], "CUTOVER");
            assert_eq!(cut_over["syncMessageCount"], 3);
            assert_eq!(block(&cut_over, "dsync")?["saved"], json!({ "INBOX": 3 }));
            fleet.expect_mail(USER, &truth).await?;

            // Another migration would throw away what arrives on the target from now on.
            let again = json!({ "sourceUid": USER, "phase": "PRE_SYNC" });
            customer.request(Method::POST, "/users/migrations", Some(&again)).await?.expect(409)?;

            let history = customer.history(USER).await?;
            let statuses: Vec<_> =
                history["migrations"].as_array().into_iter().flatten().map(|r| &r["status"]).collect();
            assert_eq!(statuses, ["SUCCESS", "SUCCESS", "FAILURE"]);
            expect_no_password(&customer, fleet).await?;
            assert!(host.proxy.max_open() <= host.limit);
            assert!(host.proxy.overlaps().is_empty());
            Ok(())
        })
        .await
}

fn expect_authentication_failure(record: &Value) -> Result<()> {
    assert_eq!(steps(record), ["count local mailbox pre sync", "dsync"]);
    let dsync = block(record, "dsync")?;
    assert_eq!(dsync["success"], false);
    assert_eq!(dsync["attempts"], 1, "a wrong password is not tried again");
    assert_eq!(dsync["outcome"], "authentication");
    let errors = dsync["errors"].to_string();
    assert!(errors.contains("AUTHENTICATIONFAILED"), "{errors}");
    assert!(!errors.contains("Raw backtrace"), "{errors}");
    // doveadm 2.3.19 aborts where others exit with 75: it is the signal that is recorded, and no made-up code.
    let ends = (dsync.get("signal"), dsync.get("exitCode"));
    assert!(ends == (Some(&json!(6)), None) || ends == (None, Some(&json!(75))), "{dsync:#}");
    assert!(dsync["command"].as_str().is_some_and(|c| c.contains("imapc_password=<hidden>")), "{dsync:#}");
    Ok(())
}

fn expect_success(record: &Value, messages: u64) -> Result<()> {
    let all = [
        "count local mailbox pre sync",
        "dsync",
        "count local mailbox post sync",
        "count remote mailbox",
        "verification",
    ];
    assert_eq!(steps(record), all);
    for step in all {
        let block = block(record, step)?;
        assert_eq!(block["success"], true, "{block:#}");
        // The comparison runs no program.
        assert_eq!(block.get("exitCode"), (step != "verification").then_some(&json!(0)), "{block:#}");
    }
    assert_eq!(record["verification"]["equal"], true, "{record:#}");
    for count in ["targetMessageCount", "sourceMessageCount", "syncMessageCount"] {
        assert_eq!(record[count], messages, "{count} of {record:#}");
    }
    assert_eq!(record["targetMailboxSize"], record["sourceMailboxSize"]);
    assert_eq!(record["expungedMessageCount"], 0);
    for field in ["created", "started", "stopped", "modified", "syncSpeed"] {
        assert!(record.get(field).is_some(), "no {field} in {record:#}");
    }
    assert!(record["backend"].as_str().is_some_and(|name| name.starts_with("default/worker-")));
    Ok(())
}
