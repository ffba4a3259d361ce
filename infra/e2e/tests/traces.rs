//! What a receiver of OpenTelemetry sees of a migration, and that nobody waits for one that is away.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test that can't go on panics where it stands"
)]

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use dmf_e2e::{Customer, Fleet, Management, OtlpReceiver, SeenSpan, SourceHost};
use dmf_lab::{Folders, Seed, poll_until};
use serde_json::{Value, json};

const DEADLINE: Duration = Duration::from_secs(30);
/// What a client sent along.
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const ABOVE: &str = "00f067aa0ba902b7";

/// Submits with a further header, as a client that traces does.
async fn submit(
    fleet: &Fleet,
    customer: &Customer,
    body: &Value,
    header: Option<(&str, &str)>,
) -> Result<()> {
    let client = reqwest::Client::builder().timeout(DEADLINE).build()?;
    let url = format!("{}/dmf/api/v2/users/migrations", fleet.api().url());
    let mut request = client.post(url).header("X-API-KEY", customer.key()).json(body);
    if let Some((name, value)) = header {
        request = request.header(name, value);
    }
    let answer = request.send().await?;
    ensure!(answer.status() == 201, "{}", answer.text().await?);
    Ok(())
}

async fn place(fleet: &Fleet, users: &[&str]) -> Result<(Customer, SourceHost)> {
    let customer = fleet.create_source("CustomerX").await?;
    let host = fleet.add_host(&customer, 4).await?;
    for user in users {
        fleet.add_user(user, "secret-of-all", &Seed::new(Folders::Normal, 20))?;
    }
    Ok((customer, host))
}

/// The spans of a trace, once the migration in it is at its end.
async fn trace_of(receiver: &OtlpReceiver, is_it: impl Fn(&SeenSpan) -> bool) -> Result<Vec<SeenSpan>> {
    let found = poll_until("the trace did not come whole", DEADLINE, async || {
        let spans = receiver.spans().map_err(|error| format!("{error:#}"))?;
        let names = || format!("{:?}", spans.iter().map(|span| &span.name).collect::<Vec<_>>());
        let trace = &spans.iter().find(|span| is_it(span)).ok_or_else(names)?.trace;
        let of_trace: Vec<_> = spans.iter().filter(|span| span.trace == *trace).cloned().collect();
        // The scheduler's own spans go out by another way than the worker's.
        let is_whole = |service| of_trace.iter().any(|span| span.service == service);
        let is_at_end = of_trace.iter().any(|span| span.name == "migration");
        let is_begun = of_trace.iter().all(|span| span.name != "queue") || is_whole("dmf-scheduler");
        if is_at_end && is_begun { Ok(of_trace) } else { Err(names()) }
    })
    .await?;
    Ok(found)
}

fn one<'s>(spans: &'s [SeenSpan], name: &str) -> Result<&'s SeenSpan> {
    let found: Vec<_> = spans.iter().filter(|span| span.name == name).collect();
    ensure!(found.len() == 1, "{} spans are called {name}: {spans:#?}", found.len());
    Ok(found[0])
}

/// Everything that a migration with hooks and counts does, in one tree.
fn expect_tree(spans: &[SeenSpan], record: &Value) -> Result<()> {
    let post = one(spans, "POST /dmf/api/v2/users/migrations")?;
    ensure!((&post.service[..], post.kind) == ("dmf-scheduler", 2), "{post:#?}");
    ensure!(post.attributes["http.response.status_code"] == "201", "{post:#?}");
    let (relay, queue, migration) = (one(spans, "relay")?, one(spans, "queue")?, one(spans, "migration")?);
    ensure!((&relay.service[..], relay.kind) == ("dmf-scheduler", 4), "{relay:#?}");
    ensure!((&migration.service[..], migration.kind) == ("dmf-worker", 5), "{migration:#?}");
    for span in [relay, queue, migration] {
        ensure!(span.parent == post.id, "{span:#?} is not below {post:#?}");
    }
    let said = ["dmf.status", "dmf.phase", "dmf.outcome"].map(|key| migration.attributes[key].as_str());
    ensure!(said == ["SUCCESS", "PRE_SYNC", "success"], "{migration:#?}");
    ensure!(migration.failed.is_none(), "{migration:#?}");
    let below: BTreeSet<&str> =
        spans.iter().filter(|span| span.parent == migration.id).map(|span| &span.name[..]).collect();
    let blocks = record["details"].as_array().context("no details")?;
    let mut wanted: BTreeSet<&str> = blocks
        .iter()
        .filter_map(Value::as_object)
        .flat_map(|block| block.keys())
        .map(|key| &key[..])
        .collect();
    ensure!(wanted.len() > 4, "{wanted:?}");
    // It compares what was counted, and runs nothing.
    wanted.remove("verification");
    wanted.extend(["claim", "finish"]);
    ensure!(below == wanted, "{below:?} instead of {wanted:?}");
    ensure!(spans.len() == wanted.len() + 4, "{spans:#?}");
    for span in spans.iter().filter(|span| span.parent == migration.id) {
        ensure!(
            migration.time.0 <= span.time.0 && span.time.0 <= span.time.1 && span.time.1 <= migration.time.1,
            "{span:#?} is not within {migration:#?}"
        );
    }
    ensure!(one(spans, "dsync")?.attributes["process.exit.code"] == "0", "{spans:#?}");
    ensure!(queue.time.1 <= migration.time.0, "{queue:#?} {migration:#?}");
    Ok(())
}

fn settings(receiver: &OtlpReceiver, more: &str) -> String {
    format!("tracing.otlp: {{ endpoint: '{}'{more} }}\nlogger.format: json\n", receiver.endpoint())
}

#[tokio::test]
async fn a_migration_is_one_trace_from_its_request_to_its_end() -> Result<()> {
    let receiver = OtlpReceiver::start().await?;
    let traces = settings(&receiver, "");
    let hooks = "dmf.worker.hooks.pre-sync: { pre: { name: 'true' }, post: { name: 'true' } }
dmf.worker.count: { local-pre.enabled: true, local-post.enabled: true, remote.enabled: true }\n";
    Fleet::builder()
        .scheduler_settings(&traces)
        .worker_settings(&format!("{traces}{hooks}"))
        .run(async |fleet| {
            let (customer, host) = place(fleet, &["w3c", "jaeger", "own", "bulk"]).await?;
            let body = |user: &str| host.submission(user, "secret-of-all");
            let w3c = format!("00-{TRACE}-{ABOVE}-01");
            submit(fleet, &customer, &body("w3c"), Some(("traceparent", &w3c))).await?;
            let jaeger = format!("{}:{ABOVE}:0:1", "abc");
            submit(fleet, &customer, &body("jaeger"), Some(("uber-trace-id", &jaeger))).await?;
            submit(fleet, &customer, &body("own"), None).await?;
            fleet.api().bulk(customer.key(), &[body("bulk")]).await?;
            for user in ["w3c", "jaeger", "own", "bulk"] {
                let record = customer.wait_for(user, "SUCCESS").await?;
                let id = format!("CustomerX/{}", record["id"]);
                let is_it = |span: &SeenSpan| span.attributes.get("dmf.migration") == Some(&id);
                let spans = trace_of(&receiver, is_it).await?;
                let log = fleet.workers()[0].log();
                let trace = &spans[0].trace;
                let line = log.lines().find(|line| line.contains("migration ended") && line.contains(&id));
                let line: Value = serde_json::from_str(line.context("no line says the end")?)?;
                ensure!(line["trace_id"] == **trace && line["job"] == *id, "{line}");
                if user == "bulk" {
                    ensure!(one(&spans, "migration")?.parent.is_empty(), "{spans:#?}");
                    continue;
                }
                expect_tree(&spans, &record)?;
                let post = one(&spans, "POST /dmf/api/v2/users/migrations")?;
                match user {
                    "w3c" => ensure!(post.trace == TRACE && post.parent == ABOVE, "{post:#?}"),
                    "jaeger" => ensure!(post.trace.ends_with("0abc") && post.parent == ABOVE, "{post:#?}"),
                    _ => ensure!(post.parent.is_empty(), "{post:#?}"),
                }
            }
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_failure_says_so_and_secrets_do_not_go_out() -> Result<()> {
    let receiver = OtlpReceiver::start().await?;
    let traces = settings(&receiver, "");
    Fleet::builder()
        .scheduler_settings(&traces)
        .worker_settings(&traces)
        .run(async |fleet| {
            let (customer, host) = place(fleet, &["alice"]).await?;
            customer.submit(&host.submission("alice", "not-this-secret")).await?;
            let record = customer.wait_for("alice", "FAILURE").await?;
            let spans = trace_of(&receiver, |span| span.name == "dsync").await?;
            let migration = one(&spans, "migration")?;
            ensure!(migration.failed.as_deref() == Some("FAILURE"), "{migration:#?}");
            let dsync = spans.iter().find(|span| span.name == "dsync").context("no dsync")?;
            let outcome = &dsync.attributes["dmf.outcome"];
            ensure!(outcome != "success" && dsync.failed.as_ref() == Some(outcome), "{dsync:#?} {record:#}");
            let sent = String::from_utf8_lossy(&receiver.bytes()).into_owned();
            for secret in ["not-this-secret", "secret-of-all", customer.key(), dmf_e2e::ADMIN_PASSWORD] {
                ensure!(!sent.contains(secret), "{secret} was sent");
            }
            Ok(())
        })
        .await
}

#[tokio::test]
async fn only_what_is_sampled_goes_out() -> Result<()> {
    let receiver = OtlpReceiver::start().await?;
    let traces = settings(&receiver, ", sampling: 0");
    Fleet::builder()
        .scheduler_settings(&traces)
        .worker_settings(&traces)
        .run(async |fleet| {
            let (customer, host) = place(fleet, &["none", "unsampled", "sampled"]).await?;
            let body = |user: &str| host.submission(user, "secret-of-all");
            submit(fleet, &customer, &body("none"), None).await?;
            let header = format!("00-{TRACE}-{ABOVE}-00");
            submit(fleet, &customer, &body("unsampled"), Some(("traceparent", &header))).await?;
            for user in ["none", "unsampled"] {
                customer.wait_for(user, "SUCCESS").await?;
            }
            let header = format!("00-{}-{ABOVE}-01", TRACE.replace('4', "5"));
            submit(fleet, &customer, &body("sampled"), Some(("traceparent", &header))).await?;
            customer.wait_for("sampled", "SUCCESS").await?;
            trace_of(&receiver, |span| span.name == "migration").await?;
            let traces: BTreeSet<String> = receiver.spans()?.into_iter().map(|span| span.trace).collect();
            ensure!(traces == BTreeSet::from([TRACE.replace('4', "5")]), "{traces:?}");
            // The log carries the id all the same.
            ensure!(fleet.workers()[0].log().contains(&format!("\"trace_id\":\"{TRACE}\"")));
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_receiver_that_never_answers_costs_nothing() -> Result<()> {
    // The kernel takes connections, and nobody ever reads from them.
    let silent = std::net::TcpListener::bind("127.0.0.1:0")?;
    let traces = format!("tracing.otlp: {{ endpoint: 'http://{}', timeout: 1s }}\n", silent.local_addr()?);
    // The end of the worker, too, must come in time: its fleet looks at that.
    Fleet::builder()
        .scheduler_settings(&traces)
        .worker_settings(&traces)
        .run(async |fleet| {
            let (customer, host) = place(fleet, &["alice"]).await?;
            customer.submit(&host.submission("alice", "secret-of-all")).await?;
            customer.wait_for("alice", "SUCCESS").await?;
            let scheduler = Management::at(fleet.api().url());
            poll_until("nothing was lost", DEADLINE, async || {
                let scrape = scheduler.admin("/prometheus").await.map_err(|error| format!("{error:#}"))?;
                let lost = "dmf_traces_spans_total{result=\"lost\"}";
                scrape.lines().find(|line| line.starts_with(lost)).map(drop).ok_or("not counted".to_owned())
            })
            .await?;
            let log = fleet.schedulers()[0].log();
            ensure!(log.matches("traces can't be exported").count() == 1, "{log}");
            customer.submit(&json!({ "sourceUid": "alice", "phase": "PRE_SYNC" })).await?;
            customer.wait_for("alice", "SUCCESS").await?;
            Ok(())
        })
        .await
}
