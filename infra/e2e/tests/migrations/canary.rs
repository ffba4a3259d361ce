//! Passwords that are known are searched for in everything that a migration leaves or shows while it runs.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use dmf_e2e::faults::Keys;
use dmf_e2e::{ADMIN, ADMIN_PASSWORD, Customer, Fleet, Management, SourceHost};
use dmf_lab::{Folders, Port, Seed, SourceDovecot};
use serde_json::{Value, json};

use crate::add_host_with;

const RIGHT: &str = "canary-Right \"1\\ ,x";
const WRONG: &str = "canary-Wrong-2";
const MASTER: &str = SourceDovecot::MASTER_PASSWORD;
const WRONG_MASTER: &str = "canary-Wrong-Master-3";

/// Each password as it is, and as JSON and Dovecot's configuration write it.
fn canaries() -> Vec<Vec<u8>> {
    let escaped = |text: &str| text.replace('\\', r"\\").replace('"', r#"\""#);
    let all = [RIGHT, WRONG, MASTER, WRONG_MASTER].into_iter();
    let forms: BTreeSet<String> = all.flat_map(|text| [text.to_owned(), escaped(text)]).collect();
    forms.into_iter().map(String::into_bytes).collect()
}

fn holds(haystack: &[u8], canaries: &[Vec<u8>]) -> bool {
    canaries.iter().any(|canary| haystack.windows(canary.len()).any(|part| part == &canary[..]))
}

/// Looks at the command line and the environment of every process, as often as it can.
struct Watch {
    stop: Arc<AtomicBool>,
    watching: JoinHandle<Seen>,
}

#[derive(Default)]
struct Seen {
    doveadms: u64,
    leaks: BTreeSet<String>,
}

impl Watch {
    fn start() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let watching = std::thread::spawn(move || {
            let (canaries, mut seen) = (canaries(), Seen::default());
            while !told.load(Ordering::Relaxed) {
                seen.look(&canaries);
                std::thread::sleep(Duration::from_millis(2));
            }
            seen
        });
        Self { stop, watching }
    }

    fn end(self) -> Result<Seen> {
        self.stop.store(true, Ordering::Relaxed);
        self.watching.join().map_err(|_| anyhow!("the watch ended in a panic"))
    }
}

impl Seen {
    fn look(&mut self, canaries: &[Vec<u8>]) {
        for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
            for file in ["cmdline", "environ"] {
                let Ok(content) = fs::read(process.path().join(file)) else { continue };
                let shown = String::from_utf8_lossy(&content).replace('\0', " ");
                self.doveadms += u64::from(file == "cmdline" && shown.contains("imapc:"));
                if holds(&content, canaries) {
                    self.leaks.insert(format!("{}/{file}: {shown}", process.path().display()));
                }
            }
        }
    }
}

/// Every file below `dir`.
fn files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => files(&entry.path(), found),
            Ok(kind) if kind.is_file() => found.push(entry.path()),
            _ => {}
        }
    }
}

/// Those who have to know a password: the source's own lists, and the settings of workers.
fn is_entitled(file: &Path) -> bool {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    name == "masters" || (name.starts_with("worker-") && name.ends_with(".yml"))
}

fn expect_clean_files(fleet: &Fleet) -> Result<()> {
    let mut all = Vec::new();
    files(fleet.lab().dir(), &mut all);
    let cores =
        |file: &PathBuf| file.file_name().is_some_and(|name| name.to_string_lossy().starts_with("core"));
    let core = all.iter().find(|file| cores(file) && !file.to_string_lossy().contains("mariadb"));
    ensure!(core.is_none(), "a core file: {core:?}");
    ensure!(
        all.iter().any(|file| file.extension().is_some_and(|ext| ext == "ibd")),
        "no database among the files"
    );
    let canaries = canaries();
    for file in all.iter().filter(|file| !is_entitled(file)) {
        // Files of servers that run come and go.
        let Ok(content) = fs::read(file) else { continue };
        ensure!(!holds(&content, &canaries), "a password is in {}", file.display());
    }
    Ok(())
}

fn expect_clean_database(fleet: &Fleet) -> Result<()> {
    let mariadb = fleet.lab().mariadb();
    let addr = mariadb.addr();
    let output = Command::new("mariadb-dump")
        .args(["--all-databases", "--protocol=tcp"])
        .arg(format!("--host={}", addr.ip()))
        .arg(format!("--port={}", addr.port()))
        .arg(format!("--user={}", mariadb.user()))
        .env("MYSQL_PWD", mariadb.password())
        .output()
        .context("mariadb-dump")?;
    let dump = String::from_utf8_lossy(&output.stdout);
    ensure!(dump.contains("journalMastered"), "no dump: {}", String::from_utf8_lossy(&output.stderr));
    ensure!(!holds(&output.stdout, &canaries()), "a password is in the database");
    Ok(())
}

async fn expect_clean_redis(keys: &Keys) -> Result<()> {
    let canaries = canaries();
    let all: Vec<String> = keys.command(&["KEYS", "*"]).await?;
    for key in all {
        let kind: String = keys.command(&["TYPE", &key]).await?;
        let words: &[&str] = match &kind[..] {
            "string" => &["GET", &key],
            "hash" => &["HGETALL", &key],
            "set" => &["SMEMBERS", &key],
            "zset" => &["ZRANGE", &key, "0", "-1"],
            // It has gone meanwhile.
            "none" => continue,
            other => anyhow::bail!("{key} is a {other}"),
        };
        let value: redis::Value = keys.command(words).await?;
        ensure!(!holds(format!("{value:?}").as_bytes(), &canaries), "a password is in {key}: {value:?}");
    }
    Ok(())
}

/// A source host whose master user logs in, by the configuration of the worker.
async fn add_mastered_host(fleet: &Fleet, customer: &Customer) -> Result<SourceHost> {
    let option = |name: &str, value: &str| json!({ "name": name, "value": value });
    let options = json!([
        option("imapc_user", "%{mdb:ruid}"),
        option("imapc_master_user", "%{conf:imapc_master_user}"),
        option("imapc_password", "%{conf:imapc_master_password}"),
        option("imapc_host", "%{mdb:sourcehost}"),
        option("-o", "imapc_port=%{mdb:sourceport}"),
    ]);
    add_host_with(fleet, customer, |definition| definition["migrationCommand1"]["options"] = options).await
}

/// Whatever a process says to its admin: state, levels, metrics.
async fn expect_clean_answers(process: &Management) -> Result<()> {
    let canaries = canaries();
    let metrics: Value = serde_json::from_str(&process.admin("/metrics").await?)?;
    let names = metrics["names"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let metrics: Vec<_> = names.map(|name| format!("/metrics/{name}")).collect();
    ensure!(metrics.len() > 10, "few metrics: {metrics:?}");
    let others = ["/metrics", "/prometheus", "/health", "/info", "/loggers"].map(str::to_owned);
    for path in metrics.into_iter().chain(others) {
        let answer = process.admin(&path).await?;
        ensure!(!holds(answer.as_bytes(), &canaries), "a password is in {path}: {answer}");
    }
    Ok(())
}

fn settings(logs: &Path, port: u16) -> String {
    let user = SourceDovecot::MASTER_USER;
    let hook = "{ name: /bin/sh, arguments: ['-c', 'env >&2; exit 1'] }";
    format!(
        "dmf.doveadm.source.Mastered.imapc: {{ master-user: {user}, master-password: '{MASTER}' }}
dmf.doveadm.source.Broken.imapc: {{ master-user: {user}, master-password: '{WRONG_MASTER}' }}
dmf.worker.hooks.pre-sync: {{ failure: {hook}, source-password: true }}
dmf.worker.command.logging: {{ type: file, file: {{ location: {} }} }}
micronaut.server: {{ host: 127.0.0.1, port: {port} }}
http.admin: {{ username: {ADMIN}, password: {ADMIN_PASSWORD} }}
",
        logs.display()
    )
}

/// The records of all users, and that each ended as it should.
async fn records(customers: &[(Customer, &str, &str)], keys: &Keys) -> Result<Vec<Value>> {
    let mut records = Vec::new();
    for (customer, user, status) in customers {
        expect_clean_redis(keys).await?;
        records.push(customer.wait_for(user, status).await?);
    }
    expect_clean_redis(keys).await?;
    Ok(records)
}

#[tokio::test]
async fn no_password_is_found_anywhere() -> Result<()> {
    let logs = tempfile::tempdir()?;
    let port = Port::reserve()?;
    let fleet = Fleet::builder().worker_settings(&settings(logs.path(), port.number()));
    fleet
        .run(async |fleet| {
            let keys = Keys::open(fleet.lab())?;
            let watch = Watch::start();
            let own = fleet.create_source("Own").await?;
            let (mastered, broken) =
                (fleet.create_source("Mastered").await?, fleet.create_source("Broken").await?);
            let host = fleet.add_host(&own, 2).await?;
            let (right, wrong) =
                (add_mastered_host(fleet, &mastered).await?, add_mastered_host(fleet, &broken).await?);
            // The failure command says its environment: passwords come by that alone, and are taken out.
            let plan = [
                (&own, &host, "own", RIGHT, "SUCCESS"),
                (&own, &host, "refused", WRONG, "FAILURE"),
                (&mastered, &right, "mastered", RIGHT, "SUCCESS"),
                (&broken, &wrong, "broken", RIGHT, "FAILURE"),
            ];
            for (customer, host, user, password, _) in plan {
                host.proxy.set_latency(Duration::from_millis(20));
                fleet.add_user(user, RIGHT, &Seed::new(Folders::Normal, 20))?;
                customer.submit(&host.submission(user, password)).await?;
            }
            let ends = plan.map(|(customer, _, user, _, status)| (customer.clone(), user, status));
            let records = records(&ends, &keys).await?;
            let seen = watch.end()?;
            ensure!(seen.doveadms > 10, "the watch saw {} doveadms", seen.doveadms);
            ensure!(seen.leaks.iter().all(|leak| is_of_its_owner(leak)), "{:#?}", seen.leaks);
            let records = json!(records).to_string();
            ensure!(
                records.contains("DMF_SOURCE_PASSWORD=<hidden>"),
                "the failure command said nothing: {records}"
            );
            ensure!(!holds(records.as_bytes(), &canaries()), "a password is in {records}");
            expect_clean_answers(&Management::at(fleet.api().url())).await?;
            expect_clean_answers(&Management::at(format!("http://127.0.0.1:{}", port.number()))).await?;
            expect_clean_files(fleet)?;
            expect_clean_database(fleet)?;
            expect_clean_logs(logs.path())
        })
        .await
}

/// An environment can be read by its own user and by root alone. A hook that asks for the user's password gets it
/// there. So does Dovecot 2.3 with its own settings: doveadm has doveconf read them and start it again with them in
/// the environment, which it wipes soon after.
fn is_of_its_owner(leak: &str) -> bool {
    leak.contains("/environ: ") && (leak.contains("DMF_SOURCE_PASSWORD=") || leak.contains("DOVECONF_ENV=1"))
}

fn expect_clean_logs(logs: &Path) -> Result<()> {
    let mut all = Vec::new();
    files(logs, &mut all);
    ensure!(all.len() == 4, "{all:?}");
    for log in all {
        let content = fs::read(&log)?;
        ensure!(content.len() > 500, "{} is nearly empty", log.display());
        ensure!(!holds(&content, &canaries()), "a password is in {}", log.display());
    }
    Ok(())
}
