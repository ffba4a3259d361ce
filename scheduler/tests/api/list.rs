//! Records over all users: filters, pages, CSV.

use axum::http::header;
use dmf_shared::{
    domain::{
        ids::UserId,
        migration::{Phase, Status},
    },
    store::{Counts, Finish, RecordFilter, UserFilter},
};
use serde_json::{Value, json};

use crate::support::{Api, KEY, KEY_HEADER, first, request, with_json};

const ALL: &str = "/users/migrations";

/// The uids on a page.
async fn uids(api: &Api, query: &str) -> Vec<String> {
    let page = api.customer("GET", &format!("{ALL}{query}"), Value::Null).await.expect(200);
    let records = page["migrations"].as_array().unwrap();
    records.iter().map(|record| record["sourceUid"].as_str().unwrap().to_owned()).collect()
}

/// `failed` has failed on worker-1, `running` runs there, `waiting` waits, `closed` was closed.
async fn four_records(api: &Api) {
    let source = api.furnish().await;
    let record = api.submit("failed").await;
    let claimed = api.claim(&source, &record).await;
    let details = json!([{ "dsync": { "success": false, "errors": ["no \"way\", out", "second"] } }]);
    let finish = Finish {
        status: Status::Failure,
        details,
        counts: Counts { sync_message_count: Some(7), ..Counts::default() },
        attempt: 5,
        verification: None,
    };
    api.app.store.finish(&source, claimed.job, claimed.epoch, &finish).await.unwrap();
    let record = api.submit("running").await;
    api.claim(&source, &record).await;
    let mut waiting = first("waiting");
    waiting["phase"] = json!("CUTOVER");
    api.customer("POST", ALL, waiting).await.expect(201);
    api.submit("closed").await;
    let close = "/users/closed/migrations/close/latest/as/ABORTED";
    api.customer("PUT", close, Value::Null).await.expect(200);
}

#[tokio::test]
async fn records_are_filtered() {
    let api = Api::start().await;
    four_records(&api).await;
    for (query, expected) in [
        ("", vec!["closed", "waiting", "running", "failed"]),
        ("?status=FAILURE", vec!["failed"]),
        ("?status=FAILED", vec!["failed"]),
        ("?status=IN_PROGRESS", vec!["running"]),
        ("?status=SCHEDULED,SYNC", vec!["waiting", "running"]),
        ("?phase=CUTOVER", vec!["waiting"]),
        ("?phase=PRE_SYNC&status=ABORTED", vec!["closed"]),
        ("?backend=default/worker-1", vec!["running", "failed"]),
        ("?backend=default%2Fworker-2", vec![]),
        ("?sourcehost=imap.host.1&status=SUCCESS", vec![]),
        (
            "?createdFrom=2020-01-01T00:00:00Z&createdUntil=2999-01-01T00:00:00Z&phase=CUTOVER",
            vec!["waiting"],
        ),
        ("?createdFrom=2999-01-01T00:00:00Z", vec![]),
        ("?createdUntil=2020-01-01T00:00:00Z", vec![]),
        ("?stoppedFrom=2020-01-01T00:00:00Z", vec!["closed", "failed"]),
        ("?stoppedUntil=2020-01-01T00:00:00Z", vec![]),
        ("?createdFrom=2020-01-01T00:00:00+01:00&status=ABORTED", vec!["closed"]),
        ("?createdFrom=2020-01-01&status=ABORTED,FAILURE,SUCCESS", vec!["closed", "failed"]),
    ] {
        assert_eq!(uids(&api, query).await, expected, "{query}");
    }
    // As long as the name of a worker can be.
    assert!(uids(&api, &format!("?backend={}", "x".repeat(330))).await.is_empty());
    let long = api.customer("GET", &format!("{ALL}?backend={}", "x".repeat(331)), Value::Null).await;
    assert_eq!(long.errors(400), ["backend: must be a text of 1 to 330 bytes without control characters"]);
    let wrong = "?status=DONE&phase=pre&sourcehost=x&createdFrom=today&limit=1001&statu=SYNC";
    assert_eq!(
        api.customer("GET", &format!("{ALL}{wrong}"), Value::Null).await.errors(400),
        [
            "status: must be one or more of SCHEDULED, SYNC, SUCCESS, FAILURE, ABORTED, IN_PROGRESS, \
             FAILED, separated by commas",
            "phase: must be PRE_SYNC or CUTOVER",
            "createdFrom: must be a time such as 2024-05-01T22:00:00Z",
            "limit: must be a whole number from 1 to 1000",
            "sourcehost: this Source has no such source host",
            "statu: unknown field, did you mean status?",
        ]
    );
}

#[tokio::test]
async fn pages_are_stable_while_records_are_added() {
    let api = Api::start().await;
    api.furnish().await;
    for uid in ["a", "b", "c", "d", "e"] {
        api.submit(uid).await;
    }
    let (mut seen, mut cursor, mut added) = (Vec::new(), String::new(), 0);
    loop {
        let page = api.customer("GET", &format!("{ALL}?limit=2{cursor}"), Value::Null).await.expect(200);
        seen.extend(page["migrations"].as_array().unwrap().iter().map(|record| record["sourceUid"].clone()));
        added += 1;
        api.submit(&format!("later-{added}")).await;
        let Some(next) = page.get("nextCursor") else { break };
        cursor = format!("&cursor={}", next.as_str().unwrap());
    }
    assert_eq!(seen, ["e", "d", "c", "b", "a"]);
}

#[tokio::test]
async fn they_are_exported_as_csv() {
    let api = Api::start().await;
    four_records(&api).await;
    let export = async |query: &str| {
        let call = request("GET", &format!("/dmf/api/v2{ALL}{query}"));
        let call = call.header(KEY_HEADER, KEY).header("accept", "text/csv");
        api.send(with_json(call, &Value::Null)).await
    };
    let answer = export("?limit=1").await;
    assert_eq!(answer.status.as_u16(), 200);
    assert_eq!(answer.headers[header::CONTENT_TYPE], "text/csv; charset=utf-8; header=present");
    let lines: Vec<_> = answer.text.lines().collect();
    // The limit is one of pages.
    assert_eq!(lines.len(), 5);
    assert!(lines[0].starts_with("id,sourceUid,created,status,phase,priority,"), "{}", lines[0]);
    assert!(
        lines[4].starts_with("1,failed,") && lines[4].contains(",FAILURE,PRE_SYNC,false,"),
        "{}",
        lines[4]
    );
    assert!(lines[4].ends_with(",7,,\"no \"\"way\"\", out\""), "{}", lines[4]);
    assert_eq!(export("?status=SUCCESS").await.text.lines().count(), 1);
    export("?status=x").await.errors(400);
}

#[tokio::test]
async fn an_export_goes_over_many_pages() {
    let api = Api::start().await;
    let source = api.furnish().await;
    api.submit("a").await;
    api.app.store.fill_journal(&source, 2_500).await.unwrap();
    let call = request("GET", &format!("/dmf/api/v2{ALL}")).header(KEY_HEADER, KEY);
    let answer = api.send(with_json(call.header("accept", "text/csv"), &Value::Null)).await;
    let ids: Vec<u64> =
        answer.text.lines().skip(1).map(|line| line.split_once(',').unwrap().0.parse().unwrap()).collect();
    assert_eq!(ids.len(), 2_501);
    assert!(ids.is_sorted_by(|a, b| a > b));
}

#[tokio::test]
async fn no_page_sorts_the_table_whatever_the_filters_are() {
    let api = Api::start().await;
    let source = api.furnish().await;
    api.submit("a").await;
    api.app.store.fill_journal(&source, 5_000).await.unwrap();
    let host = api.app.store.places_by_name(source.id, None, Some("imap.host.1")).await.unwrap().1;
    let time = Some(time::OffsetDateTime::UNIX_EPOCH);
    for choice in 0..2_u32.pow(6) {
        let is_on = |bit: u32| choice & (1 << bit) != 0;
        let statuses: &[Status] = match (is_on(0), is_on(1)) {
            (false, _) => &[],
            (true, false) => &[Status::Failure],
            (true, true) => &[Status::Scheduled, Status::Success],
        };
        let filter = RecordFilter {
            statuses: statuses.to_vec(),
            phase: is_on(2).then_some(Phase::PreSync),
            sourcehost: host.filter(|_| is_on(3)),
            backend: is_on(4).then(|| "default/worker-1".to_owned()),
            stopped_from: time.filter(|_| is_on(5)),
            created_until: time.filter(|_| is_on(1)),
            ..RecordFilter::default()
        };
        for (key, extra) in api.app.store.explain_records(&source, &filter).await.unwrap() {
            // Times alone sort ids, which their key holds.
            let is_sorted_key = ["ended", "created"].contains(&&key[..]) && extra.contains("Using index");
            assert!(!extra.contains("temporary"), "{filter:?}: {key} {extra}");
            assert!(!extra.contains("filesort") || is_sorted_key, "{filter:?}: {key} {extra}");
        }
    }
    let target = api.app.store.target_by_name("default").await.unwrap().unwrap().id;
    for (sourcehost, target) in [(None, None), (host, None), (None, Some(target)), (host, Some(target))] {
        let filter = UserFilter { sourcehost, target, after: UserId(0), limit: 100 };
        let (key, extra) = api.app.store.explain_users(&source, &filter).await.unwrap();
        assert!(!extra.contains("temporary") && !extra.contains("filesort"), "{filter:?}: {key} {extra}");
    }
}
