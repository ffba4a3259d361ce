//! The operator's own commands around a migration: which one runs when, what it is told, and what follows when it
//! fails or does not end.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use dmf_e2e::{Customer, Fleet, SourceHost};
use dmf_lab::{Folders, Seed};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{PASSWORD, block};

/// A directory that hooks can write into: they run as the mail user.
fn open_dir() -> Result<TempDir> {
    let dir = tempfile::tempdir()?;
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777))?;
    Ok(dir)
}

async fn submit(
    (customer, host): &(Customer, SourceHost),
    user: &str,
    phase: &str,
    password: &str,
) -> Result<()> {
    let mut body = host.submission(user, password);
    body["phase"] = json!(phase);
    customer.submit(&body).await.map(drop)
}

/// A hook that writes its environment and its last two words into a file of its own.
fn telling(dir: &Path, word: &str) -> String {
    let file = format!("{}/$DMF_SOURCE.$DMF_PHASE.{word}", dir.display());
    let script = format!(r#"(env; echo "first=$1"; echo "second=$2") > {file}.new; mv {file}.new {file}"#);
    format!(
        "{{ name: /bin/sh, arguments: ['-c', '{script}', sh, '%{{mdb:uid}} \"x\" $HOME', '%{{conf:region}}'] }}"
    )
}

/// What a hook has told; whatever the shell adds is left out.
fn told(dir: &Path, name: &str) -> Result<BTreeMap<String, String>> {
    let text = fs::read_to_string(dir.join(name)).with_context(|| name.to_owned())?;
    let lines = text.lines().filter_map(|line| line.split_once('='));
    let lines = lines.filter(|(key, _)| !["PWD", "OLDPWD", "SHLVL", "_"].contains(key));
    Ok(lines.map(|(key, value)| (key.to_owned(), value.to_owned())).collect())
}

fn files(dir: &Path) -> Result<BTreeSet<String>> {
    let entries = fs::read_dir(dir)?.collect::<std::io::Result<Vec<_>>>()?;
    Ok(entries.into_iter().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect())
}

fn steps(record: &Value) -> Vec<&str> {
    let blocks = record["details"].as_array().into_iter().flatten();
    blocks.filter_map(Value::as_object).flat_map(|block| block.keys().map(String::as_str)).collect()
}

#[tokio::test]
async fn each_phase_and_each_source_has_its_own() -> Result<()> {
    let dir = open_dir()?;
    let of_phase = || {
        let say = |word: &str| telling(dir.path(), word);
        format!("{{ pre: {}, post: {}, failure: {} }}", say("pre"), say("post"), say("failure"))
    };
    let settings = format!(
        "dmf.worker.hooks:
  pre-sync: {}
  cutover: {}
  source.Special.cutover: {{ post: {}, source-password: true }}
dmf.doveadm.source.default.command.inject.region: north
dmf.doveadm.source.Special.command.inject.region: far south
",
        of_phase(),
        of_phase(),
        telling(dir.path(), "special"),
    );
    Fleet::builder()
        .worker_settings(&settings)
        .run(async |fleet| {
            for (source, user) in [("General", "alice"), ("Special", "bob")] {
                fleet.add_user(user, PASSWORD, &Seed::new(Folders::Inbox, 3))?;
                let customer = fleet.create_source(source).await?;
                let host = fleet.add_host(&customer, 2).await?;
                let scene = (customer, host);
                for phase in ["PRE_SYNC", "CUTOVER"] {
                    submit(&scene, user, phase, PASSWORD).await?;
                    let record = scene.0.wait_for(user, "SUCCESS").await?;
                    expect_told(dir.path(), &record, (source, user), phase)?;
                }
            }
            let expected = [
                "General.PRE_SYNC.pre",
                "General.PRE_SYNC.post",
                "General.CUTOVER.pre",
                "General.CUTOVER.post",
                "Special.PRE_SYNC.pre",
                "Special.PRE_SYNC.post",
                "Special.CUTOVER.pre",
                "Special.CUTOVER.special",
            ];
            let expected: BTreeSet<_> = expected.map(str::to_owned).into();
            ensure!(files(dir.path())? == expected, "{:?}", files(dir.path())?);
            Ok(())
        })
        .await
}

/// The environment is what the guide says and nothing else; values stay whole; the record tells of both hooks.
fn expect_told(dir: &Path, record: &Value, (source, user): (&str, &str), phase: &str) -> Result<()> {
    let is_special = source == "Special" && phase == "CUTOVER";
    let region = if source == "Special" { "far south" } else { "north" };
    let post = if is_special { "special" } else { "post" };
    let mut known = vec![
        "PATH",
        "LC_ALL",
        "DMF_GUARD",
        "DMF_ATTEMPT",
        "DMF_EPOCH",
        "DMF_PHASE",
        "DMF_SOURCE",
        "DMF_SOURCE_UID",
        "DMF_TARGET_UID",
        "first",
        "second",
    ];
    known.extend(is_special.then_some("DMF_SOURCE_PASSWORD"));
    known.sort_unstable();
    for (word, attempt) in [("pre", "0"), (post, "1")] {
        let told = told(dir, &format!("{source}.{phase}.{word}"))?;
        ensure!(told.keys().eq(known.iter()), "{word}: {:?} instead of {known:?}", told.keys());
        let expected = [
            ("DMF_ATTEMPT", attempt),
            ("DMF_EPOCH", "1"),
            ("DMF_PHASE", phase),
            ("DMF_SOURCE", source),
            ("DMF_SOURCE_UID", user),
            ("DMF_TARGET_UID", user),
            ("first", &format!("{user} \"x\" $HOME")),
            ("second", region),
        ];
        for (key, value) in expected {
            ensure!(told[key] == value, "{word}: {key} is {:?} instead of {value:?}", told[key]);
        }
        ensure!(!is_special || told["DMF_SOURCE_PASSWORD"] == PASSWORD, "another password: {told:?}");
    }
    let steps = steps(record);
    ensure!(steps.first() == Some(&"pre sync command"), "{steps:?}");
    ensure!(steps.last() == Some(&"post sync command"), "{steps:?}");
    for step in ["pre sync command", "post sync command"] {
        let block = block(record, step)?;
        ensure!(block["success"] == true && block["exitCode"] == 0, "{block:#}");
        ensure!(block["command"].as_str().is_some_and(|line| line.contains(region)), "{block:#}");
        ensure!(block["started"].is_string() && block["durationMs"].is_number(), "{block:#}");
    }
    Ok(())
}

/// By the user's name a hook succeeds, fails, or does not end; each says its password aloud.
fn failing(dir: &Path, word: &str) -> String {
    let script = format!(
        r#"echo {word} $DMF_SOURCE_UID >> {log}; echo "it knows $DMF_SOURCE_PASSWORD" >&2; case {word}-$DMF_SOURCE_UID in pre-pre-fails|pre-all-fails) exit 7 ;; post-post-fails|failure-all-fails) exit 8 ;; post-post-hangs) exec sleep 86419 ;; esac"#,
        log = dir.join("log").display(),
    );
    format!("{{ name: /bin/sh, arguments: ['-c', '{script}'] }}")
}

const SECRET: &str = "pass-word-of-a-hook";

/// Everybody whose pre command started is set free by the failure command, whatever fails; nobody else is.
#[tokio::test]
async fn a_failure_is_followed_by_the_failure_command() -> Result<()> {
    let dir = open_dir()?;
    let say = |word: &str| failing(dir.path(), word);
    let settings = format!(
        "dmf.worker.hooks:
  timeout: 2s
  pre-sync: {{ pre: {}, post: {}, failure: {}, source-password: true }}
",
        say("pre"),
        say("post"),
        say("failure"),
    );
    Fleet::builder()
        .worker_settings(&settings)
        .run(async |fleet| {
            let customer = fleet.create_source("CustomerX").await?;
            let host = fleet.add_host(&customer, 4).await?;
            let scene = (customer, host);
            let plan = [
                ("all-is-well", SECRET, "SUCCESS", "pre post"),
                ("pre-fails", SECRET, "FAILURE", "pre failure"),
                ("sync-fails", "wrong", "FAILURE", "pre failure"),
                ("post-fails", SECRET, "FAILURE", "pre post failure"),
                ("post-hangs", SECRET, "FAILURE", "pre post failure"),
                ("all-fails", SECRET, "FAILURE", "pre failure"),
            ];
            for (user, password, ..) in plan {
                fleet.add_user(user, SECRET, &Seed::new(Folders::Inbox, 2))?;
                submit(&scene, user, "PRE_SYNC", password).await?;
            }
            for (user, _, status, words) in plan {
                let record = scene.0.wait_for(user, status).await?;
                let ran: Vec<_> = steps(&record)
                    .into_iter()
                    .filter_map(|step| step.strip_suffix(" sync command"))
                    .collect();
                ensure!(ran.join(" ") == words, "{user}: {record:#}");
                expect_end(user, &record).with_context(|| user.to_owned())?;
                ensure!(!record.to_string().contains(SECRET), "{user}: {record:#}");
            }
            let log = fs::read_to_string(dir.path().join("log"))?;
            for (user, _, _, words) in plan {
                let ran: Vec<_> =
                    log.lines().filter_map(|line| line.strip_suffix(&format!(" {user}"))).collect();
                ensure!(ran.join(" ") == words, "{user}: {log}");
            }
            Ok(())
        })
        .await
}

fn expect_end(user: &str, record: &Value) -> Result<()> {
    let (of, errors) = (|step| block(record, step), |block: &Value| block["errors"].to_string());
    match user {
        "pre-fails" | "all-fails" => {
            let pre = of("pre sync command")?;
            ensure!(pre["success"] == false && pre["exitCode"] == 7, "{pre:#}");
            ensure!(errors(pre).contains("it knows <hidden>"), "{pre:#}");
            ensure!(of("dsync").is_err(), "{record:#}");
            let failure = of("failure sync command")?;
            ensure!(failure["success"] == json!(user == "pre-fails"), "{failure:#}");
        }
        "sync-fails" => ensure!(of("dsync")?["outcome"] == "authentication", "{record:#}"),
        "post-fails" => ensure!(of("post sync command")?["exitCode"] == 8, "{record:#}"),
        "post-hangs" => {
            let post = of("post sync command")?;
            ensure!(post["signal"] == 15 && errors(post).contains("its time was over"), "{post:#}");
        }
        _ => {}
    }
    let is_copied = ["all-is-well", "post-fails", "post-hangs"].contains(&user);
    ensure!(!is_copied || of("dsync")?["success"] == true, "{record:#}");
    Ok(())
}

/// Whoever can't be let in again is not locked out: all hooks are made ready before the first one runs.
#[tokio::test]
async fn nothing_runs_where_a_later_hook_can_not() -> Result<()> {
    let dir = open_dir()?;
    let log = dir.path().join("log");
    let hook = |word: &str, argument: &str| {
        let script = format!("echo {word} $DMF_SOURCE_UID >> {}", log.display());
        format!("{{ name: /bin/sh, arguments: ['-c', '{script}', sh, '{argument}'] }}")
    };
    let settings = format!(
        "dmf.worker.hooks.cutover: {{ pre: {}, failure: {} }}\n",
        hook("pre", "%{mdb:uid}"),
        hook("failure", "%{mdb:email}")
    );
    Fleet::builder()
        .worker_settings(&settings)
        .run(async |fleet| {
            let customer = fleet.create_source("CustomerX").await?;
            let host = fleet.add_host(&customer, 2).await?;
            for (user, status) in [("without-email", "FAILURE"), ("with-email", "SUCCESS")] {
                fleet.add_user(user, PASSWORD, &Seed::new(Folders::Inbox, 2))?;
                let mut body = host.submission(user, PASSWORD);
                body["phase"] = json!("CUTOVER");
                if status == "SUCCESS" {
                    body["email"] = json!("somebody@example.org");
                }
                customer.submit(&body).await?;
                let record = customer.wait_for(user, status).await?;
                if status == "FAILURE" {
                    ensure!(steps(&record) == ["failure sync command"], "{record:#}");
                    let said = block(&record, "failure sync command")?["errors"].to_string();
                    ensure!(said.contains("arguments[3]: %{mdb:email} has no value for this user"), "{said}");
                }
            }
            ensure!(fs::read_to_string(&log)? == "pre with-email\n", "{}", fs::read_to_string(&log)?);
            Ok(())
        })
        .await
}
