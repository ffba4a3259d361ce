//! Source and target are compared by their real counts: below folder prefixes, with other separators, with
//! exclusions, and where a command leaves something out.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use dmf_e2e::{Builder, Customer, Fleet, SourceHost};
use dmf_lab::{Folders, Seed, Seeded};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{PASSWORD, add_host_with, block};

const USER: &str = "alice";

/// One user of a source whose folders lie below `INBOX.`.
struct Case {
    user: &'static str,
    /// `Prefixed` has a folder prefix in the worker's configuration.
    source: &'static str,
    /// Changes the source host's commands.
    change: fn(&mut Value),
    /// Further fields of the submission.
    fields: fn() -> Value,
    /// The name on the target of a folder called so below the prefix.
    name: fn(&str) -> String,
    /// Whether it leaves out what [`is_excluded`].
    excludes: bool,
    /// Whether the counts call folders otherwise on either side.
    renamed: bool,
}

const CASES: [Case; 6] = [
    Case {
        user: "as-it-is",
        source: "Plain",
        change: |_| {},
        fields: || json!({}),
        name: below_inbox,
        excludes: false,
        renamed: false,
    },
    Case {
        user: "by-configuration",
        source: "Prefixed",
        change: |definition| add_option(definition, "imapc_list_prefix", "%{conf:imapc_prefix}"),
        fields: || json!({}),
        name: str::to_owned,
        excludes: false,
        renamed: false,
    },
    Case {
        user: "by-own-option",
        source: "Plain",
        change: |definition| add_option(definition, "-o", "%{mdb:imapcoptions}"),
        fields: || json!({ "imapcOptions": ["imapc_list_prefix=INBOX"] }),
        name: str::to_owned,
        excludes: false,
        renamed: false,
    },
    Case {
        user: "counted-otherwise",
        source: "Prefixed",
        change: |definition| {
            // It counts with the prefix what is copied without.
            definition["statusCommand"] = status_command(definition);
            add_option(definition, "imapc_list_prefix", "%{conf:imapc_prefix}");
        },
        fields: || json!({}),
        name: str::to_owned,
        excludes: false,
        renamed: true,
    },
    Case {
        user: "excluded",
        source: "Plain",
        change: exclude,
        fields: || json!({ "excludeFolders": ["INBOX/Junk", "INBOX/Archive/*"] }),
        name: below_inbox,
        excludes: true,
        renamed: false,
    },
    Case {
        user: "excluded-by-prefix",
        source: "Prefixed",
        change: |definition| {
            exclude(definition);
            add_option(definition, "imapc_list_prefix", "%{conf:imapc_prefix}");
        },
        fields: || json!({ "excludeFolders": ["Junk", "Archive/*"] }),
        name: str::to_owned,
        excludes: true,
        renamed: false,
    },
];

fn below_inbox(folder: &str) -> String {
    if folder == "INBOX" { folder.to_owned() } else { format!("INBOX/{folder}") }
}

fn is_excluded(folder: &str) -> bool {
    folder == "Junk" || folder.starts_with("Archive/")
}

fn add_option(definition: &mut Value, name: &str, value: &str) {
    if let Some(options) = definition["migrationCommand1"]["options"].as_array_mut() {
        options.push(json!({ "name": name, "value": value }));
    }
}

fn exclude(definition: &mut Value) {
    definition["migrationCommand1"]["subCommand"]["arguments"] = json!(["%{mdb:exclude}", "imapc:"]);
}

/// A count of the source with the settings of the command that copies.
fn status_command(definition: &Value) -> Value {
    let mut options = definition["migrationCommand1"]["options"].as_array().cloned().unwrap_or_default();
    options.insert(0, json!({ "name": "-f", "value": "tab" }));
    options.push(json!({ "name": "-o", "value": "mail=imapc:" }));
    json!({ "name": "doveadm", "options": options, "subCommand": { "name": "mailbox", "subCommand": {
        "name": "status", "options": { "name": "-u", "value": "%{mdb:uid}" }, "arguments": ["messages vsize", "*"] } } })
}

/// The folders with mail that the target holds, against what the source was given.
async fn expect_target(fleet: &Fleet, truth: &Seeded, case: &Case) -> Result<()> {
    let filled = truth.mailboxes.iter().filter(|(_, truth)| truth.messages > 0);
    let wanted = filled.filter(|(folder, _)| !(case.excludes && is_excluded(folder)));
    let wanted: BTreeMap<_, _> =
        wanted.map(|(folder, truth)| ((case.name)(folder), truth.messages)).collect();
    let found = fleet.lab().target().mailboxes(&truth.user).await?.into_iter();
    let found: BTreeMap<_, _> = found
        .filter(|(_, count)| count.messages > 0)
        .map(|(folder, count)| (folder, count.messages))
        .collect();
    ensure!(found == wanted, "{found:#?} instead of {wanted:#?}");
    Ok(())
}

/// Whoever names the folders otherwise, a CUTOVER is found equal, and the target holds what it should.
#[tokio::test]
async fn prefixes_separators_and_exclusions() -> Result<()> {
    Fleet::builder()
        .source_namespace("INBOX.", '.')
        .worker_settings("dmf.doveadm.source.Prefixed.imapc.prefix: INBOX\n")
        .run(async |fleet| {
            let customers = [fleet.create_source("Plain").await?, fleet.create_source("Prefixed").await?];
            // Hosts are gone when they are dropped.
            let (mut hosts, mut truths) = (Vec::new(), Vec::new());
            for case in &CASES {
                let customer = &customers[usize::from(case.source == "Prefixed")];
                let host = add_host_with(fleet, customer, case.change).await?;
                truths
                    .push((customer, fleet.add_user(case.user, PASSWORD, &Seed::new(Folders::Normal, 40))?));
                let mut body = host.submission(case.user, PASSWORD);
                body["phase"] = json!("CUTOVER");
                for (key, value) in (case.fields)().as_object().into_iter().flatten() {
                    body[key] = value.clone();
                }
                customer.submit(&body).await?;
                hosts.push(host);
            }
            for (case, (customer, truth)) in CASES.iter().zip(&truths) {
                let record = customer.wait_for(case.user, "SUCCESS").await.context(case.user)?;
                expect_equal(&record, case.renamed).context(case.user)?;
                expect_target(fleet, truth, case).await.context(case.user)?;
            }
            Ok(())
        })
        .await
}

fn expect_equal(record: &Value, renamed: bool) -> Result<()> {
    let report = &record["verification"];
    let is_empty = |kind: &str| report[kind].as_array().is_some_and(Vec::is_empty);
    ensure!(report["equal"] == true && block(record, "verification")?["equal"] == true, "{record:#}");
    ensure!(["missing", "extra", "different", "otherSize"].into_iter().all(is_empty), "{report:#}");
    ensure!(report["mailboxes"].as_u64() > Some(5), "{report:#}");
    ensure!(is_empty("renamed") != renamed, "{report:#}");
    Ok(())
}

struct Scene<'f> {
    fleet: &'f Fleet,
    customer: Customer,
    host: SourceHost,
    truth: Seeded,
}

impl Scene<'_> {
    async fn submit(&self, phase: &str, status: &str) -> Result<Value> {
        let mut body = self.host.submission(USER, PASSWORD);
        body["phase"] = json!(phase);
        self.customer.submit(&body).await?;
        self.customer.wait_for(USER, status).await
    }

    /// Has the sync command copy everything from now on.
    async fn mend_command(&self) -> Result<()> {
        let path = format!("/sources/{}/sourcehosts/{}", self.customer.source(), self.host.name());
        let definition = json!({ "migrationCommand1": self.host.definition()["migrationCommand1"] });
        self.fleet.api().admin(Method::PUT, &path, Some(&definition)).await?.expect(200).map(drop)
    }
}

/// A user whose host's command leaves a folder out that nobody excluded.
async fn on_scene(builder: Builder, test: impl AsyncFnOnce(&Scene<'_>) -> Result<()>) -> Result<()> {
    const HOOKS: &str = "dmf.worker.hooks.cutover:
  post: { name: 'true', flags: [], arguments: [post] }
  failure: { name: 'true', arguments: [failure] }
";
    builder
        .worker_settings(HOOKS)
        .run(async |fleet| {
            let customer = fleet.create_source("CustomerX").await?;
            let leave_out = |definition: &mut Value| {
                let sub = &mut definition["migrationCommand1"]["subCommand"];
                sub["options"] =
                    json!([{ "name": "-u", "value": "%{mdb:uid}" }, { "name": "-x", "value": "Sent" }]);
            };
            let host = add_host_with(fleet, &customer, leave_out).await?;
            let truth = fleet.add_user(USER, PASSWORD, &Seed::new(Folders::Normal, 40))?;
            test(&Scene { fleet, customer, host, truth }).await
        })
        .await
}

/// The folder is told as missing, with its numbers.
fn expect_missing(record: &Value, truth: &Seeded) -> Result<()> {
    let (report, sent) = (&record["verification"], truth.mailboxes["Sent"]);
    let missing = json!([{ "mailbox": "Sent", "messages": sent.messages, "vsize": sent.vsize }]);
    ensure!(report["equal"] == false && report["missing"] == missing, "{report:#}");
    ensure!(report["extra"] == json!([]) && report["different"] == json!([]), "{report:#}");
    let told = block(record, "verification")?;
    ensure!(
        told["equal"] == false && told["errors"].to_string().contains("1 folders are missing"),
        "{told:#}"
    );
    Ok(())
}

/// A `PRE_SYNC` reports; a CUTOVER fails, so that nobody's route is flipped, and the user is set free again.
#[tokio::test]
async fn a_cutover_that_is_not_equal_is_a_failure() -> Result<()> {
    on_scene(Fleet::builder(), async |scene| {
        let reported = scene.submit("PRE_SYNC", "SUCCESS").await?;
        expect_missing(&reported, &scene.truth)?;
        ensure!(block(&reported, "verification")?["success"] == true, "{reported:#}");
        let failed = scene.submit("CUTOVER", "FAILURE").await?;
        expect_missing(&failed, &scene.truth)?;
        ensure!(block(&failed, "verification")?["success"] == false, "{failed:#}");
        ensure!(block(&failed, "dsync")?["success"] == true, "{failed:#}");
        ensure!(block(&failed, "post sync command").is_err(), "{failed:#}");
        ensure!(block(&failed, "failure sync command")?["success"] == true, "{failed:#}");
        scene.mend_command().await?;
        let mended = scene.submit("CUTOVER", "SUCCESS").await?;
        expect_equal(&mended, false)?;
        ensure!(block(&mended, "post sync command")?["success"] == true, "{mended:#}");
        scene.fleet.expect_mail(USER, &scene.truth).await
    })
    .await
}

#[tokio::test]
async fn a_report_alone_fails_no_cutover() -> Result<()> {
    on_scene(Fleet::builder().worker_settings("dmf.worker.verification: report-only\n"), async |scene| {
        let record = scene.submit("CUTOVER", "SUCCESS").await?;
        expect_missing(&record, &scene.truth)?;
        ensure!(block(&record, "verification")?["success"] == true, "{record:#}");
        ensure!(block(&record, "post sync command")?["success"] == true, "{record:#}");
        Ok(())
    })
    .await
}
