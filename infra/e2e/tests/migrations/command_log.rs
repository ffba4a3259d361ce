//! The command log: a file for each user that holds what doveadm said, and no password.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use anyhow::{Context as _, Result, ensure};
use dmf_e2e::Fleet;
use dmf_lab::{Folders, Seed};

const PASSWORD: &str = "pass-word-of-the-log";

#[tokio::test]
async fn a_file_for_each_user_holds_what_doveadm_said() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let settings = format!(
        "dmf.worker.command.logging:\n  type: file\n  file: {{ format: '%(source)-%(user)-user-migration.log', location: {} }}\n",
        dir.path().display()
    );
    Fleet::builder()
        .worker_settings(&settings)
        .run(async |fleet| {
            let customer = fleet.create_source("CustomerX").await?;
            let host = fleet.add_host(&customer, 2).await?;
            fleet.add_user("alice", PASSWORD, &Seed::new(Folders::Inbox, 3))?;
            let mut body = host.submission("alice", PASSWORD);
            body["targetUid"] = "target_uid".into();
            customer.submit(&body).await?;
            customer.wait_for("alice", "SUCCESS").await?;
            let path = dir.path().join("CustomerX-target_uid-user-migration.log");
            let log = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
            let mode = fs::metadata(&path)?.permissions().mode() & 0o777;
            ensure!(mode == 0o600, "its mode is {mode:o}");
            for part in [
                "CustomerX/1 dsync starts: ",
                "imapc_password=<hidden>",
                "| dsync(target_uid): Info: copy from INBOX: box=INBOX, uid=3",
                "dsync ends: exit code 0, ended by itself",
                "count remote mailbox starts: ",
                "\"mailbox\":\"INBOX\"",
            ] {
                ensure!(log.contains(part), "no {part:?} in:\n{log}");
            }
            ensure!(!log.contains(PASSWORD), "the password is in:\n{log}");
            Ok(())
        })
        .await
}

#[tokio::test]
async fn the_worker_s_own_log_can_hold_it_with_the_job() -> Result<()> {
    Fleet::builder()
        .worker_settings("dmf.worker.command.logging.type: log\n")
        .run(async |fleet| {
            let customer = fleet.create_source("CustomerX").await?;
            let host = fleet.add_host(&customer, 2).await?;
            fleet.add_user("alice", PASSWORD, &Seed::new(Folders::Inbox, 1))?;
            customer.submit(&host.submission("alice", PASSWORD)).await?;
            customer.wait_for("alice", "SUCCESS").await?;
            let log = fleet.workers()[0].log();
            let said = "dsync | dsync(alice): Info: copy from INBOX: box=INBOX, uid=1";
            let line = log.lines().find(|line| line.contains(said));
            ensure!(line.is_some_and(|line| line.contains("[JobID: CustomerX/1]")), "{log}");
            Ok(())
        })
        .await
}
