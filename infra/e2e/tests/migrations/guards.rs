//! Guards against destroying mail, each provoked on a real target of either kind: the mail is still there.

use anyhow::{Result, ensure};
use dmf_e2e::{Builder, Customer, Fleet, SourceHost};
use dmf_lab::{Folders, Seed, Seeded, Storage};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{PASSWORD, block};

const USER: &str = "alice";
const NEW_MAIL: &str = "From: <new@example.org>\nSubject: arrived on the target\n\nKeep me.\n";

struct Scene<'f> {
    fleet: &'f Fleet,
    customer: Customer,
    host: SourceHost,
    truth: Seeded,
}

impl Scene<'_> {
    async fn in_inbox(&self) -> Result<u64> {
        let mailboxes = self.fleet.lab().target().mailboxes(USER).await?;
        Ok(mailboxes.get("INBOX").map_or(0, |inbox| inbox.messages))
    }

    async fn submit_to(&self, status: &str) -> Result<Value> {
        self.customer.submit(&self.host.submission(USER, PASSWORD)).await?;
        self.customer.wait_for(USER, status).await
    }

    /// Submits with force, which goes through and stands in the audit.
    async fn force(&self) -> Result<()> {
        let body = json!({ "sourceUid": USER, "phase": "PRE_SYNC", "force": true });
        self.customer.submit(&body).await?;
        self.customer.wait_for(USER, "SUCCESS").await?;
        self.fleet.expect_mail(USER, &self.truth).await?;
        let audit = self.fleet.api().admin(Method::GET, "/audit", None).await?.expect(200)?;
        let entries = audit["entries"].as_array().into_iter().flatten();
        let forced: Vec<_> = entries.filter(|entry| entry["fields"]["force"] == true).collect();
        ensure!(forced.len() == 1 && forced[0]["actor"] == "source:CustomerX", "{audit:#}");
        Ok(())
    }
}

async fn on_scene(
    builder: Builder,
    storage: Storage,
    test: impl AsyncFnOnce(&Scene<'_>) -> Result<()>,
) -> Result<()> {
    builder
        .storage(storage)
        .run(async |fleet| {
            let customer = fleet.create_source("CustomerX").await?;
            let host = fleet.add_host(&customer, 2).await?;
            let truth = fleet.add_user(USER, PASSWORD, &Seed::new(Folders::Inbox, 12))?;
            test(&Scene { fleet, customer, host, truth }).await
        })
        .await
}

/// Nothing was synced, and the guard says why.
fn expect_guarded(record: &Value, outcome: &str, words: &str) -> Result<()> {
    let guard = block(record, "target guard")?;
    ensure!(guard["outcome"] == outcome && guard["success"] == false, "{guard:#}");
    ensure!(guard["errors"].to_string().contains(words), "{guard:#}");
    ensure!(block(record, "dsync").is_err(), "{record:#}");
    Ok(())
}

async fn mail_that_was_there_before(storage: Storage) -> Result<()> {
    on_scene(Fleet::builder(), storage, async |scene| {
        let target = scene.fleet.lab().target();
        target.deliver(USER, "INBOX", NEW_MAIL).await?;
        let record = scene.submit_to("FAILURE").await?;
        expect_guarded(&record, "target-not-empty", "holds 1 mails, but this framework left 0")?;
        ensure!(scene.in_inbox().await? == 1, "the mail is gone");
        if storage == Storage::Maildir {
            // What the guard saved it from: a diverged maildir never gets equal again, so it starts afresh.
            target.forget(USER)?;
        }
        scene.force().await
    })
    .await
}

#[tokio::test]
async fn mail_that_was_on_an_mdbox_before_stays() -> Result<()> {
    mail_that_was_there_before(Storage::Mdbox).await
}

#[tokio::test]
async fn mail_that_was_on_a_maildir_before_stays() -> Result<()> {
    mail_that_was_there_before(Storage::Maildir).await
}

async fn mail_that_arrived_after_a_pre_sync(storage: Storage) -> Result<()> {
    on_scene(Fleet::builder(), storage, async |scene| {
        scene.submit_to("SUCCESS").await?;
        let left = scene.in_inbox().await?;
        scene.fleet.lab().target().deliver(USER, "INBOX", NEW_MAIL).await?;
        let record = scene.submit_to("FAILURE").await?;
        expect_guarded(&record, "target-not-empty", "holds 13 mails, but this framework left 12")?;
        ensure!(scene.in_inbox().await? == left + 1, "the mail is gone");
        if storage == Storage::Maildir { expect_diverged(scene).await } else { scene.force().await }
    })
    .await
}

/// Forced, the same mail is expunged, the maildir is diverged for ever, and the record says what to do.
async fn expect_diverged(scene: &Scene<'_>) -> Result<()> {
    let body = json!({ "sourceUid": USER, "phase": "PRE_SYNC", "force": true });
    scene.customer.submit(&body).await?;
    let record = scene.customer.wait_for(USER, "FAILURE").await?;
    let dsync = block(&record, "dsync")?;
    ensure!(dsync["outcome"] == "diverged" && dsync["attempts"] == 1, "{dsync:#}");
    ensure!(dsync["policy"] == "fail-user", "{dsync:#}");
    ensure!(dsync["errors"].to_string().contains("remove its mailbox and start afresh"), "{dsync:#}");
    Ok(())
}

#[tokio::test]
async fn mail_that_arrived_on_an_mdbox_after_a_pre_sync_stays() -> Result<()> {
    mail_that_arrived_after_a_pre_sync(Storage::Mdbox).await
}

#[tokio::test]
async fn mail_that_arrived_on_a_maildir_after_a_pre_sync_stays() -> Result<()> {
    mail_that_arrived_after_a_pre_sync(Storage::Maildir).await
}

/// The route may have been flipped: whether the post command succeeded or not, no further sync starts.
async fn mail_after_the_route_was_flipped(storage: Storage) -> Result<()> {
    let hooks = "dmf.worker.hooks.cutover: { post: { name: /bin/false, arguments: [x] } }\n";
    on_scene(Fleet::builder().worker_settings(hooks), storage, async |scene| {
        let mut body = scene.host.submission(USER, PASSWORD);
        body["phase"] = json!("CUTOVER");
        scene.customer.submit(&body).await?;
        let record = scene.customer.wait_for(USER, "FAILURE").await?;
        ensure!(block(&record, "post sync command")?["exitCode"] == 1, "{record:#}");
        let left = scene.in_inbox().await?;
        scene.fleet.lab().target().deliver(USER, "INBOX", NEW_MAIL).await?;
        for phase in ["PRE_SYNC", "CUTOVER"] {
            let again = json!({ "sourceUid": USER, "phase": phase });
            scene.customer.request(Method::POST, "/users/migrations", Some(&again)).await?.expect(409)?;
        }
        ensure!(scene.in_inbox().await? == left + 1, "the mail is gone");
        if storage == Storage::Maildir { expect_diverged(scene).await } else { scene.force().await }
    })
    .await
}

#[tokio::test]
async fn mail_on_an_mdbox_stays_once_a_route_was_flipped() -> Result<()> {
    mail_after_the_route_was_flipped(Storage::Mdbox).await
}

#[tokio::test]
async fn mail_on_a_maildir_stays_once_a_route_was_flipped() -> Result<()> {
    mail_after_the_route_was_flipped(Storage::Maildir).await
}

/// A target that nobody can count is not overwritten: the migration is tried as often as the settings say, says
/// why while it waits, and fails.
#[tokio::test]
async fn a_target_that_can_not_be_counted_is_not_overwritten() -> Result<()> {
    let retry = "dmf.worker.suspend.backend: 1s\n";
    on_scene(Fleet::builder().worker_settings(retry), Storage::Mdbox, async |scene| {
        scene.fleet.lab().target().stop().await?;
        let record = scene.submit_to("FAILURE").await?;
        expect_guarded(&record, "target-not-counted", "3 of at most 3 times")?;
        let count = block(&record, "count local mailbox pre sync")?;
        ensure!(count["success"] == false && count["errors"].is_array(), "{count:#}");
        scene.fleet.lab().target().start().await?;
        scene.submit_to("SUCCESS").await.map(drop)
    })
    .await
}

/// A folder that doveadm can't count lets the others be counted: their mail is not overwritten either.
#[tokio::test]
async fn mail_beside_a_folder_that_can_not_be_counted_stays() -> Result<()> {
    on_scene(Fleet::builder(), Storage::Maildir, async |scene| {
        let target = scene.fleet.lab().target();
        target.deliver(USER, "INBOX", NEW_MAIL).await?;
        target.make_maildir(USER, "~tilde")?;
        let record = scene.submit_to("FAILURE").await?;
        let count = block(&record, "count local mailbox pre sync")?;
        ensure!(count["success"] == false && count["outcome"] == "configuration", "{count:#}");
        ensure!(count["counted"]["messages"] == 1, "{count:#}");
        expect_guarded(&record, "target-not-empty", "holds 1 mails, but this framework left 0")?;
        let kept =
            target.doveadm(&["-f", "tab", "mailbox", "status", "-u", USER, "messages", "INBOX"]).await?;
        ensure!(String::from_utf8_lossy(&kept.stdout).ends_with("INBOX\t1\n"), "{kept:?}");
        Ok(())
    })
    .await
}
