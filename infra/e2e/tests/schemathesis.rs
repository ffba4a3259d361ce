//! The served OpenAPI document against the scheduler that serves it: schemathesis sends what the document
//! allows and what it forbids, and looks at every answer.

#![allow(clippy::disallowed_methods, reason = "a test that starts a program")]

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use dmf_e2e::{ADMIN, ADMIN_PASSWORD, Customer, Fleet};
use reqwest::Method;
use serde_json::json;
use tokio::process::Command;
use tokio::time::timeout;

/// Longest time for the whole run, on a busy machine too.
const DEADLINE: Duration = Duration::from_mins(5);
/// The names of the document's own examples, so that these work.
const SOURCE: &str = "CustomerX";
const HOST: &str = "imap.example.com";
const USER: &str = "alice@example.com";
/// What requests of the admin may change without a harm to those of the customer.
const MEADOW: &str = "Meadow";
/// What they may delete.
const SPARE: &str = "spare";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Makes what the requests name.
async fn furnish(fleet: &Fleet) -> Result<Customer> {
    let customer = fleet.create_source(SOURCE).await?;
    fleet.create_source(MEADOW).await?;
    fleet.create_source(SPARE).await?;
    fleet.api().admin(Method::POST, "/targets", Some(&json!({ "name": SPARE }))).await?.expect(201)?;
    for (source, host) in [(SOURCE, HOST), (MEADOW, HOST), (MEADOW, SPARE)] {
        let path = format!("/sources/{source}/sourcehosts");
        let host = json!({ "name": host, "maxConnections": 9, "migrationCommand1": { "name": "ignore" } });
        fleet.api().admin(Method::POST, &path, Some(&host)).await?.expect(201)?;
    }
    let submission = json!({
        "sourceUid": USER, "phase": "PRE_SYNC", "targetUid": "alice", "target": "default", "sourcehost": HOST,
    });
    customer.submit(&submission).await?;
    Ok(customer)
}

#[tokio::test]
async fn the_api_does_what_its_document_says() -> Result<()> {
    // It tries wrong credentials on every route.
    Fleet::builder()
        .scheduler_settings("dmf.http.rate-limit.wrong-credentials-per-minute: 0\n")
        .run(async |fleet| {
            // It leaves its entry behind; nothing that is submitted may run.
            fleet.workers()[0].stop().await?;
            let customer = furnish(fleet).await?;
            run(fleet, &customer).await
        })
        .await
}

async fn run(fleet: &Fleet, customer: &Customer) -> Result<()> {
    let program = root().join("target/schemathesis/bin/st");
    let own = root().join("infra/schemathesis");
    let dir = fleet.lab().dir().join("schemathesis");
    fs::create_dir(&dir)?;
    let output = dir.join("output");
    let file = File::create(&output)?;
    let document = format!("/swagger/dmf-scheduler-{}.yml", env!("CARGO_PKG_VERSION"));
    let mut child = Command::new(&program)
        .arg("--config-file")
        .arg(own.join("schemathesis.toml"))
        .args(["run", "--checks=all", "--no-color"])
        .arg(format!("{}{document}", fleet.api().url()))
        .env("PYTHONPATH", &own)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("SCHEMATHESIS_HOOKS", "hooks")
        .env("DMF_ADMIN", ADMIN)
        .env("DMF_ADMIN_PASSWORD", ADMIN_PASSWORD)
        .env("DMF_API_KEY", customer.key())
        .env("DMF_SOURCE", SOURCE)
        .env("DMF_MEADOW", MEADOW)
        .env("DMF_SOURCEHOST", HOST)
        .env("DMF_TARGET", "default")
        .env("DMF_SPARE", SPARE)
        .current_dir(&dir)
        .stdin(Stdio::null())
        .stdout(file.try_clone()?)
        .stderr(file)
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("{}: infra/schemathesis/install makes it", program.display()))?;
    let group = i32::try_from(child.id().context("it has ended")?)?;
    fleet.lab().guard(group)?;
    let ended = timeout(DEADLINE, child.wait()).await;
    fleet.lab().release(group);
    let said = || String::from_utf8_lossy(&fs::read(&output).unwrap_or_default()).into_owned();
    match ended {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(status) => bail!("schemathesis ended with {}:\n{}", status?, said()),
        Err(_) => bail!("schemathesis did not end within {} s:\n{}", DEADLINE.as_secs(), said()),
    }
}
