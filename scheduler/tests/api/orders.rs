//! Orders: pause, resume, limits, start, stop, cancel, priority.

use dmf_scheduler::relay;
use dmf_shared::{
    domain::ids::BackendId,
    store::{BackendState, Decision, HandBack, Refusal, Wanted, WorkerHeartbeat},
};
use serde_json::{Value, json};

use crate::support::{Api, without_times};

const HOST: &str = "/sources/CustomerX/sourcehosts/imap.host.1";
const WORKER: &str = "/targets/default/backends/worker-1";

async fn put(api: &Api, path: &str) -> Value {
    api.admin("PUT", path, Value::Null).await.expect(200)
}

/// Which workers and hosts the relay was told to look at, and how many migrations; these are done then.
async fn told(api: &Api) -> (Vec<BackendId>, Vec<u32>, usize) {
    let batch = api.app.store.next_outbox_batch(100).await.unwrap();
    let told =
        (batch.backends.clone(), batch.hosts.iter().map(|host| host.limit).collect(), batch.jobs.len());
    if !batch.is_empty() {
        batch.done().await.unwrap();
    }
    told
}

#[tokio::test]
async fn a_paused_source_or_host_starts_nothing_until_it_is_resumed() {
    let api = Api::start().await;
    let source = api.furnish().await;
    let record = api.submit("alice").await;
    told(&api).await;
    for path in ["/sources/CustomerX", HOST] {
        assert_eq!(put(&api, &format!("{path}/pause")).await["paused"], true, "{path}");
        assert_eq!(put(&api, &format!("{path}/pause")).await["paused"], true, "{path}");
        assert_eq!(told(&api).await, (vec![], vec![0], 0), "{path}");
        let refused = api.try_claim(&source, &record).await;
        assert!(matches!(refused, Decision::Refused(_, Refusal::Blocked)), "{path}: {refused:?}");
        assert_eq!(put(&api, &format!("{path}/resume")).await["paused"], false, "{path}");
        assert_eq!(told(&api).await, (vec![], vec![2], 0), "{path}");
    }
    api.claim(&source, &record).await;
    for path in ["/sources/None/pause", "/sources/None/resume"] {
        assert_eq!(api.admin("PUT", path, Value::Null).await.errors(404), ["Source not found"]);
    }
    for path in ["pause", "resume"] {
        let path = format!("/sources/CustomerX/sourcehosts/none/{path}");
        assert_eq!(api.admin("PUT", &path, Value::Null).await.errors(404), ["Source host not found"]);
    }
}

#[tokio::test]
async fn a_source_host_is_changed_in_part() {
    let api = Api::start().await;
    api.furnish().await;
    told(&api).await;
    let before = api.admin("GET", HOST, Value::Null).await.expect(200);
    let change = json!({
        "maxConnections": 5,
        "reservedForPriority": 4,
        "port": 993,
        "migrationCommand2": { "name": "ignore" },
    });
    let mut expected = before.clone();
    for (field, value) in change.as_object().unwrap() {
        expected[field] = value.clone();
    }
    let changed = api.admin("PUT", HOST, change).await.expect(200);
    assert_eq!(changed, expected);
    assert_eq!(told(&api).await, (vec![], vec![5], 0));
    let cleared = json!({
        "maxConnections": 2, "reservedForPriority": null, "port": null, "migrationCommand2": null,
    });
    assert_eq!(api.admin("PUT", HOST, cleared).await.expect(200), before);
    assert_eq!(api.admin("PUT", HOST, json!({})).await.expect(200), before);
}

#[tokio::test]
async fn a_wrong_change_of_a_source_host_is_refused_as_a_whole() {
    let api = Api::start().await;
    api.furnish().await;
    let before = api.admin("GET", HOST, Value::Null).await.expect(200);
    let wrong = json!({
        "maxConnections": null,
        "port": 0,
        "migrationCommand1": null,
        "statusCommand": { "name": "doveadm", "subCommand": { "name": "expunge" } },
        "name": "imap.host.2",
    });
    let errors = api.admin("PUT", HOST, wrong).await.errors(400);
    assert_eq!(errors[0], "maxConnections: can't be null");
    assert_eq!(errors[1], "port: must be a port from 1 to 65535");
    assert_eq!(errors[2], "migrationCommand1: can't be null");
    assert!(errors[3].starts_with("statusCommand.subCommand.name: "), "{errors:?}");
    assert!(errors.last().unwrap().starts_with("name: unknown field"), "{errors:?}");
    let below = ["reservedForPriority: must be less than maxConnections"];
    for numbers in
        [json!({ "reservedForPriority": 2 }), json!({ "maxConnections": 3, "reservedForPriority": 3 })]
    {
        assert_eq!(api.admin("PUT", HOST, numbers).await.errors(400), below);
    }
    assert_eq!(api.admin("GET", HOST, Value::Null).await.expect(200), before);
    let none = api.admin("PUT", "/sources/CustomerX/sourcehosts/none", json!({})).await;
    assert_eq!(none.errors(404), ["Source host not found"]);
}

#[tokio::test]
async fn a_lower_limit_lets_what_runs_go_on() {
    let api = Api::start().await;
    let source = api.furnish().await;
    let records = [api.submit("a").await, api.submit("b").await, api.submit("c").await];
    api.claim(&source, &records[0]).await;
    let second = api.claim(&source, &records[1]).await;
    let lowered = api.admin("PUT", HOST, json!({ "maxConnections": 1 })).await.expect(200);
    assert_eq!((&lowered["maxConnections"], &lowered["connectionsInUse"]), (&json!(1), &json!(2)));
    api.app.store.hand_back(&source, second.job, second.epoch, &HandBack::default()).await.unwrap();
    let refused = api.try_claim(&source, &records[2]).await;
    assert!(matches!(refused, Decision::Refused(_, Refusal::Blocked)), "{refused:?}");
}

#[tokio::test]
async fn a_worker_is_started_paused_stopped_and_configured() {
    let api = Api::start().await;
    api.furnish().await;
    let holder = api.register_worker().await;
    told(&api).await;
    for (order, wanted) in [("pause", "PAUSED"), ("stop", "STOPPED"), ("start", "RUNNING")] {
        assert_eq!(put(&api, &format!("{WORKER}/{order}")).await["wantedState"], wanted);
        assert_eq!(told(&api).await.0, [holder.backend], "{order}");
        let none = api.admin("PUT", &format!("/targets/default/backends/none/{order}"), Value::Null).await;
        assert_eq!(none.errors(404), ["Backend not found"]);
    }
    let change = json!({ "initialState": "PAUSED", "maxThreads": 9 });
    let changed = api.admin("PUT", WORKER, change).await.expect(200);
    assert_eq!((&changed["initialState"], &changed["maxThreads"]), (&json!("PAUSED"), &json!(9)));
    assert_eq!(told(&api).await.0, [holder.backend]);
    let same = api.admin("PUT", WORKER, json!({})).await.expect(200);
    assert_eq!(without_times(same), without_times(changed));
    let heartbeat = WorkerHeartbeat { state: BackendState::Running, threads_in_use: 0 };
    let wanted = api.app.store.heartbeat_backend(holder.backend, holder.incarnation, heartbeat).await;
    assert_eq!(wanted.unwrap(), Some((BackendState::Running, 9)));
    let cleared = json!({ "initialState": null, "maxThreads": null });
    let cleared = api.admin("PUT", WORKER, cleared).await.expect(200);
    assert_eq!((cleared.get("initialState"), &cleared["maxThreads"]), (None, &json!(4)));

    let wrong = json!({ "initialState": "STOPPED", "maxThreads": 0, "maxThread": 1 });
    assert_eq!(
        api.admin("PUT", WORKER, wrong).await.errors(400),
        [
            "initialState: must be RUNNING or PAUSED",
            "maxThreads: must be a whole number from 1 to 10000",
            "maxThread: unknown field, did you mean maxThreads?",
        ]
    );
}

#[tokio::test]
async fn only_a_dead_worker_without_migrations_is_deleted() {
    let api = Api::start().await;
    let source = api.furnish().await;
    let record = api.submit("alice").await;
    let claimed = api.claim(&source, &record).await;
    let delete = async || api.admin("DELETE", WORKER, Value::Null).await;
    assert_eq!(delete().await.errors(409), ["the backend is alive"]);
    let holder = api.register_worker().await;
    let gone = WorkerHeartbeat { state: BackendState::Gone, threads_in_use: 0 };
    api.app.store.heartbeat_backend(holder.backend, holder.incarnation, gone).await.unwrap();
    let errors = delete().await.errors(409);
    assert!(errors[0].ends_with("not taken back yet"), "{errors:?}");
    api.app.store.hand_back(&source, claimed.job, claimed.epoch, &HandBack::default()).await.unwrap();
    assert_eq!(delete().await.status.as_u16(), 204);
    assert_eq!(delete().await.errors(404), ["Backend not found"]);
}

#[tokio::test]
async fn a_waiting_migration_is_cancelled_at_once_and_a_running_one_when_its_worker_says_so() {
    let api = Api::start().await;
    let source = api.furnish().await;
    api.submit("a").await;
    let cancel = async |uid: &str| {
        api.customer("POST", &format!("/users/{uid}/migrations/latest/cancel"), Value::Null).await
    };
    let cancelled = without_times(cancel("a").await.expect(202));
    assert_eq!((&cancelled["status"], &cancelled["stopped"]), (&json!("ABORTED"), &json!("time")));
    assert_eq!(cancel("a").await.errors(409), ["migration 1 has ended already: ABORTED"]);
    assert_eq!(cancel("b").await.errors(404), ["User not found"]);

    let record = api.submit("b").await;
    let claimed = api.claim(&source, &record).await;
    told(&api).await;
    assert_eq!(cancel("b").await.expect(202)["status"], "SYNC");
    assert_eq!(told(&api).await.2, 1);
    assert_eq!(cancel("b").await.expect(202)["status"], "SYNC");
    let holder = api.register_worker().await;
    let held = api.app.store.leases_of(holder.backend, holder.incarnation).await.unwrap();
    assert_eq!(held[0].wanted, Wanted::Cancel);
    api.app.store.hand_back(&source, claimed.job, claimed.epoch, &HandBack::default()).await.unwrap();
    let latest = api.customer("GET", "/users/b/migrations/latest", Value::Null).await.expect(200);
    assert_eq!(latest["status"], "ABORTED");
}

#[tokio::test]
async fn a_waiting_migration_is_given_priority() {
    let api = Api::start().await;
    let source = api.furnish().await;
    let record = api.submit("a").await;
    let order = async |uid: &str, body: Value| {
        api.customer("PUT", &format!("/users/{uid}/migrations/latest/priority"), body).await
    };
    // On a queue that works, so that the change of place is seen to be taken.
    while relay::relay_all(&api.app.store, &api.app.queue).await.is_err() {
        dmf_scheduler::rebuild::run(&api.app.store, &api.app.queue).await.unwrap();
    }
    for priority in [true, true, false] {
        let changed = order("a", json!({ "priority": priority })).await.expect(200);
        assert_eq!((&changed["priority"], &changed["id"]), (&json!(priority), &json!(1)));
        let batch = api.app.store.next_outbox_batch(9).await.unwrap();
        assert_eq!(batch.jobs[0].priority, priority);
        drop(batch);
        relay::relay_all(&api.app.store, &api.app.queue).await.unwrap();
    }
    assert_eq!(order("a", json!({})).await.errors(400), ["priority: is required"]);
    assert_eq!(
        order("a", json!({ "priority": "yes" })).await.errors(400),
        ["priority: must be true or false"]
    );
    assert_eq!(order("b", json!({ "priority": true })).await.errors(404), ["User not found"]);
    api.claim(&source, &record).await;
    let late = order("a", json!({ "priority": true })).await.errors(409);
    assert_eq!(late, ["migration 1 does not wait any more: SYNC"]);
}

#[tokio::test]
async fn a_worker_is_alive_for_as_long_as_its_leases_are() {
    let mut api = Api::start().await;
    api.register_worker().await;
    let alive =
        async |api: &Api| api.admin("GET", "/backends", Value::Null).await.expect(200)[0]["alive"].clone();
    assert_eq!(alive(&api).await, true);
    api.app.silence = std::time::Duration::ZERO;
    let router = dmf_scheduler::app::router(api.app.clone());
    assert_eq!(alive(&api.with_router(router)).await, false);
}
