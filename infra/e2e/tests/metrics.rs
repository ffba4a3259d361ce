//! What alert rules and dashboards ask for is what the processes of a live run show.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test that can't go on panics where it stands"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use dmf_e2e::{ADMIN, ADMIN_PASSWORD, Fleet};
use dmf_lab::{Folders, Port, Seed, poll_until};
use serde_json::Value;

/// The census of the schedulers, and some room.
const DEADLINE: Duration = Duration::from_secs(40);

fn monitoring() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../monitoring")
}

/// Every query of every dashboard, with its variables replaced by what they stand for.
fn queries() -> Result<Vec<String>> {
    let mut queries = Vec::new();
    for entry in fs::read_dir(monitoring().join("grafana"))? {
        let path = entry?.path();
        let board: Value =
            serde_json::from_str(&fs::read_to_string(&path)?).context(path.display().to_string())?;
        collect(&board, &mut queries);
    }
    ensure!(queries.len() > 20, "{queries:?}");
    Ok(queries)
}

fn collect(value: &Value, queries: &mut Vec<String>) {
    match value {
        Value::Object(object) => {
            if let Some(Value::String(query)) = object.get("expr") {
                let query = query.replace("$__rate_interval", "5m").replace("$__range", "1h");
                queries.push(query.replace("$source", ".*").replace("$host", ".*").replace("$target", ".*"));
            }
            object.values().for_each(|value| collect(value, queries));
        }
        Value::Array(items) => items.iter().for_each(|value| collect(value, queries)),
        _ => {}
    }
}

/// Names of metrics in a text, as Prometheus writes them.
fn names(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let ours = ["dmf_", "http_server_", "hikaricp_", "process_", "logback_", "system_"];
    words.filter(|word| ours.iter().any(|prefix| word.starts_with(prefix))).map(str::to_owned).collect()
}

/// The names of the series of a scrape.
fn shown(scrape: &str) -> BTreeSet<String> {
    let series = scrape.lines().filter(|line| !line.starts_with('#'));
    series.filter_map(|line| line.split(['{', ' ']).next().map(str::to_owned)).collect()
}

#[test]
fn every_query_of_the_dashboards_is_one() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("queries.yml");
    let rules: Vec<Value> = queries()?
        .iter()
        .enumerate()
        .map(|(n, query)| serde_json::json!({ "record": format!("query:{n}"), "expr": query }))
        .collect();
    // JSON is YAML.
    fs::write(
        &path,
        serde_json::json!({ "groups": [{ "name": "dashboards", "rules": rules }] }).to_string(),
    )?;
    let checked =
        Command::new("promtool").args(["check", "rules"]).arg(&path).output().context("promtool")?;
    ensure!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    Ok(())
}

async fn scrape(url: &str) -> Result<String> {
    let client = reqwest::Client::builder().timeout(Duration::from_secs(10)).build()?;
    let request = client.get(format!("{url}/prometheus")).basic_auth(ADMIN, Some(ADMIN_PASSWORD));
    Ok(request.send().await?.error_for_status()?.text().await?)
}

#[tokio::test]
async fn a_live_run_shows_everything_that_rules_and_dashboards_ask_for() -> Result<()> {
    let rules = fs::read_to_string(monitoring().join("prometheus/rules.yml"))?;
    let rules: String =
        rules.lines().filter(|line| !line.trim_start().starts_with('#')).collect::<Vec<_>>().join("\n");
    let mut wanted = names(&rules);
    wanted.extend(names(&queries()?.join("\n")));
    let port = Port::reserve()?;
    let settings = format!(
        "micronaut.server: {{host: 127.0.0.1, port: {}}}
http.admin: {{username: {ADMIN}, password: {ADMIN_PASSWORD}}}
",
        port.number()
    );
    Fleet::builder()
        .worker_settings(&settings)
        .run(async |fleet| {
            let customer = fleet.create_source("CustomerX").await?;
            let host = fleet.add_host(&customer, 2).await?;
            fleet.add_user("alice", "alicepw", &Seed::new(Folders::Normal, 20))?;
            customer.submit(&host.submission("alice", "alicepw")).await?;
            customer.wait_for("alice", "SUCCESS").await?;
            let worker = format!("http://127.0.0.1:{}", port.number());
            let (scheduler, worker) = poll_until("not everything was shown", DEADLINE, async || {
                let scrapes = tokio::try_join!(scrape(fleet.api().url()), scrape(&worker));
                let (scheduler, worker) = scrapes.map_err(|error| format!("{error:#}"))?;
                let all: BTreeSet<String> = &shown(&scheduler) | &shown(&worker);
                let missing: Vec<&String> = wanted.difference(&all).collect();
                if missing.is_empty() { Ok((scheduler, worker)) } else { Err(format!("missing: {missing:?}")) }
            })
            .await?;
            let has = |text: &str, line: &str| text.lines().any(|found| found.starts_with(line));
            let host = host.name();
            for line in [
                "dmf_store_up{store=\"mariadb\"} 1",
                "dmf_store_up{store=\"redis\"} 1",
                &format!("dmf_hosts_limit{{host=\"{host}\",source=\"CustomerX\"}} 2"),
                "dmf_queue_depth{priority=\"normal\",target=\"default\"} 0",
                "dmf_store_calls_seconds_count{call=\"submit\",store=\"mariadb\"} 1",
            ] {
                ensure!(has(&scheduler, line), "the scheduler lacks {line}:\n{scheduler}");
            }
            for line in [
                "dmf_migrations_ended_total{outcome=\"success\",phase=\"PRE_SYNC\",status=\"SUCCESS\",target=\"default\"} 1",
                "dmf_migrations_mails_total{target=\"default\"} 20",
                "dmf_claims_total{decision=\"granted\"} 1",
                "dmf_child_processes 0",
                "dmf_worker_threads 4",
            ] {
                ensure!(has(&worker, line), "the worker lacks {line}:\n{worker}");
            }
            Ok(())
        })
        .await
}
