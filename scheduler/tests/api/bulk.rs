//! Bulk submits: a result for each line, in order, whatever the others are.

use std::fmt::Write as _;

use axum::{body::Body, http::header};
use serde_json::{Value, json};

use crate::support::{Answer, Api, KEY, KEY_HEADER, first, request};

pub(crate) const BULK: &str = "/dmf/api/v2/users/migrations/bulk";
pub(crate) const NDJSON: &str = "application/x-ndjson";

pub(crate) async fn send(api: &Api, query: &str, content_type: &str, body: impl Into<Body>) -> Answer {
    let call = request("POST", &format!("{BULK}{query}"))
        .header(KEY_HEADER, KEY)
        .header(header::CONTENT_TYPE, content_type)
        .body(body.into());
    api.send(call.unwrap()).await
}

pub(crate) fn results(answer: &Answer) -> Vec<Value> {
    assert_eq!(answer.status.as_u16(), 200, "{answer:?}");
    assert_eq!(answer.headers[header::CONTENT_TYPE], NDJSON);
    answer.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn statuses(results: &[Value]) -> Vec<&str> {
    results.iter().map(|result| result["status"].as_str().unwrap()).collect()
}

pub(crate) fn ndjson(lines: impl IntoIterator<Item = Value>) -> String {
    lines.into_iter().fold(String::new(), |mut text, line| {
        writeln!(text, "{line}").unwrap();
        text
    })
}

#[tokio::test]
async fn each_line_gets_its_result_and_a_bad_one_stops_no_other() {
    let api = Api::start().await;
    api.furnish().await;
    api.submit("open").await;
    let mut twin = first("twin");
    twin["targetUid"] = json!("NEW-A");
    let mut taken = first("taken");
    taken["targetUid"] = json!("new-OPEN");
    let body = format!(
        "{}\r\n\n{{\"sourceUid\": \"hunter2\n[]\n{}{}",
        first("a"),
        ndjson([
            json!({ "sourceUid": "b", "phase": "FINAL", "colour": 1 }),
            json!({ "sourceUid": "c", "phase": "PRE_SYNC" }),
            first("open"),
            taken,
            first("a"),
            twin,
        ]),
        first("d"),
    );
    let results = results(&send(&api, "", NDJSON, body).await);
    let errors: Vec<_> = results.iter().map(|result| result["errors"][0].as_str().unwrap_or("")).collect();
    assert_eq!(
        errors,
        [
            "",
            "the line is not valid JSON: error at column 22",
            "the line must be a JSON object",
            "phase: must be PRE_SYNC or CUTOVER",
            "targetUid: is required, since this user is new",
            "",
            "targetUid: is taken by another user on this target",
            "",
            "targetUid: is taken by another user on this target",
            "",
        ]
    );
    assert_eq!(
        statuses(&results),
        [
            "CREATED", "REFUSED", "REFUSED", "REFUSED", "REFUSED", "EXISTS", "REFUSED", "EXISTS", "REFUSED",
            "CREATED"
        ]
    );
    assert_eq!(
        results[0],
        json!({ "line": 1, "sourceUid": "a", "status": "CREATED", "id": results[7]["id"] })
    );
    let lines: Vec<_> = results.iter().map(|result| result["line"].as_u64().unwrap()).collect();
    assert_eq!(lines, [1, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
    assert_eq!(results[3]["errors"].as_array().unwrap().len(), 2);
    assert!(!results.iter().any(|result| result.to_string().contains("hunter2")));
    let record = api.customer("GET", "/users/d/migrations/latest", Value::Null).await.expect(200);
    assert_eq!((&record["id"], &record["status"]), (&results[9]["id"], &json!("SCHEDULED")));
}

#[tokio::test]
async fn a_repeat_reports_what_is_there_and_a_dry_run_changes_nothing() {
    let api = Api::start().await;
    api.furnish().await;
    // More than two batches.
    let body = ndjson((0..1_200).map(|number| first(&format!("user{number}"))));
    let dry = results(&send(&api, "?dryRun=true", NDJSON, body.clone()).await);
    assert_eq!((dry.len(), &dry[0]), (1_200, &json!({ "line": 1, "sourceUid": "user0", "status": "VALID" })));
    let none = api.customer("GET", "/users", Value::Null).await.expect(200);
    assert_eq!(none, json!({ "users": [] }));

    let created = results(&send(&api, "", NDJSON, body.clone()).await);
    assert!(created.iter().all(|result| result["status"] == "CREATED"));
    let uids: Vec<_> = created.iter().map(|result| result["sourceUid"].as_str().unwrap()).collect();
    assert_eq!(uids, (0..1_200).map(|number| format!("user{number}")).collect::<Vec<_>>());
    let again = results(&send(&api, "", NDJSON, body).await);
    for (again, created) in again.iter().zip(&created) {
        assert_eq!((&again["status"], &again["id"]), (&json!("EXISTS"), &created["id"]));
    }
    // The relay is told of each, once.
    let told = api.app.store.next_outbox_batch(5_000).await.unwrap().jobs.len();
    assert_eq!(told, 1_200);
}

#[tokio::test]
async fn a_dry_run_answers_repeated_users_and_target_uids_as_the_real_run_does() {
    let api = Api::start().await;
    api.furnish().await;
    api.admin("POST", "/targets", json!({ "name": "west" })).await.expect(201);
    api.submit("open").await;
    let with = |uid: &str, field: &str, value: Value| {
        let mut line = first(uid);
        line[field] = value;
        line
    };
    let body = ndjson([
        first("a"),
        // Refused, so that the next one of this user is the first.
        with("b", "sourcehost", json!("none")),
        first("b"),
        // More follow than a batch may hold of one user.
        first("a"),
        json!({ "sourceUid": "a", "phase": "CUTOVER" }),
        with("twin", "targetUid", json!("NEW-A")),
        with("elsewhere", "targetUid", json!("new-a")),
        with("elsewhere", "target", json!("west")),
        with("west-twin", "targetUid", json!("new-elsewhere")),
        first("open"),
        with("taken", "targetUid", json!("new-open")),
        json!({ "sourceUid": "stranger", "phase": "PRE_SYNC" }),
        json!({ "sourceUid": "a", "phase": "x" }),
    ]);
    let mut dry = results(&send(&api, "?dryRun=true", NDJSON, body.clone()).await);
    let none = api.customer("GET", "/users/a", Value::Null).await;
    assert_eq!(none.errors(404), ["User not found"]);
    let mut real = results(&send(&api, "", NDJSON, body).await);
    assert_eq!(
        statuses(&real),
        [
            "CREATED", "REFUSED", "CREATED", "EXISTS", "EXISTS", "REFUSED", "REFUSED", "CREATED", "CREATED",
            "EXISTS", "REFUSED", "REFUSED", "REFUSED",
        ]
    );
    // The number of what is open already is the same; others are not known before.
    assert_eq!(dry[9]["id"], real[9]["id"]);
    for line in &mut real {
        line.as_object_mut().unwrap().remove("id");
        if line["status"] == "CREATED" {
            line["status"] = json!("VALID");
        }
    }
    for line in &mut dry {
        line.as_object_mut().unwrap().remove("id");
    }
    assert_eq!(dry, real);
}

#[tokio::test]
async fn a_line_is_answered_as_a_single_submit_would_be() {
    let api = Api::start_with_storage_key().await;
    let source = api.furnish().await;
    for uid in ["synced", "cut"] {
        let mut body = first(uid);
        body["phase"] = json!(if uid == "cut" { "CUTOVER" } else { "PRE_SYNC" });
        api.customer("POST", "/users/migrations", body).await.expect(201);
        let close = format!("/users/{uid}/migrations/close/latest/as/SUCCESS");
        api.customer("PUT", &close, Value::Null).await.expect(200);
    }
    let moved = json!({ "sourceUid": "synced", "phase": "CUTOVER", "targetUid": "elsewhere" });
    let cut = json!({ "sourceUid": "cut", "phase": "CUTOVER" });
    for refused in [&moved, &cut] {
        let alone = api.customer("POST", "/users/migrations", refused.clone()).await.errors(409);
        let line = results(&send(&api, "", NDJSON, refused.to_string()).await);
        assert_eq!(line[0]["errors"], json!(alone));
    }
    let forced = [moved, cut].map(|mut body| {
        body["force"] = json!(true);
        body["password"] = json!("correct horse");
        body["priority"] = json!(true);
        body["notBefore"] = json!("2037-01-01T00:00:00Z");
        body["excludeFolders"] = json!(["Trash"]);
        body
    });
    let results = results(&send(&api, "", NDJSON, ndjson(forced)).await);
    assert_eq!(statuses(&results), ["CREATED", "CREATED"]);
    let user = api.app.store.user(&source, "synced").await.unwrap().unwrap();
    assert_eq!((&user.target_uid[..], &user.exclude_folders[..]), ("elsewhere", &["Trash".to_owned()][..]));
    api.app.keys.open(&user.password.unwrap(), source.id, "synced").unwrap();
    let record = api.customer("GET", "/users/cut/migrations/latest", Value::Null).await.expect(200);
    assert_eq!(
        (&record["priority"], &record["notBefore"]),
        (&json!(true), &json!("2037-01-01T00:00:00.00Z"))
    );
    // The uid that it left is free.
    let mut other = first("other");
    other["targetUid"] = json!("new-synced");
    api.customer("POST", "/users/migrations", other).await.expect(201);
}

#[tokio::test]
async fn csv_is_read_with_the_names_of_its_first_line() {
    let api = Api::start().await;
    let source = api.furnish().await;
    let body = "\u{feff}sourceUid,phase,targetUid,target,sourcehost,priority,sourceport,excludeFolders\r\n\
                \"a,\"\"b\"\"\",PRE_SYNC,ta,default,imap.host.1,true,143,\"[\"\"x\"\",\"\"y\"\"]\"\r\n\
                c,PRE_SYNC,tc,default,imap.host.1,,,Trash\r\n\
                d,PRE_SYNC\r\n\
                \"e\"x,,,,,,,\r\n\
                f,PRE_SYNC,tf,default,imap.host.1,maybe,99999,\r\n";
    let results = results(&send(&api, "", "text/csv", body).await);
    assert_eq!(statuses(&results), ["CREATED", "CREATED", "REFUSED", "REFUSED", "REFUSED"]);
    assert_eq!((&results[0]["line"], &results[0]["sourceUid"]), (&json!(2), &json!("a,\"b\"")));
    assert_eq!(results[2]["errors"], json!(["the line has 2 fields and not 8"]));
    assert_eq!(
        results[4]["errors"],
        json!(["priority: must be true or false", "sourceport: must be a port from 1 to 65535"])
    );
    let user = api.app.store.user(&source, "a,\"b\"").await.unwrap().unwrap();
    assert_eq!(
        (user.sourceport, &user.exclude_folders[..]),
        (Some(143), &["x".to_owned(), "y".to_owned()][..])
    );
}

#[tokio::test]
async fn a_stray_quote_costs_one_line_and_an_open_one_its_own() {
    let api = Api::start().await;
    api.furnish().await;
    let line = |uid: &str, email: &str| format!("{uid},PRE_SYNC,t-{uid},default,imap.host.1,{email},TRUE\n");
    let body = format!(
        "sourceUid,phase,targetUid,target,sourcehost,email,priority\n{}{}{}{}",
        line("a", "x\"y"),
        line("b", "\"x"),
        line("c", "y"),
        line("d", "\"z\""),
    );
    let results = results(&send(&api, "", "text/csv", body).await);
    let errors: Vec<_> = results.iter().map(|result| result["errors"][0].as_str().unwrap_or("")).collect();
    assert_eq!(statuses(&results), ["REFUSED", "REFUSED", "CREATED", "CREATED"]);
    assert_eq!(
        errors[..2],
        [
            "the line is no CSV: a quote stands in a field that does not begin with one",
            "the line opens a quote that is not closed at the end of a field",
        ]
    );
    let record = api.customer("GET", "/users/c/migrations/latest", Value::Null).await.expect(200);
    assert_eq!(record["priority"], true);
}

#[tokio::test]
async fn a_file_without_names_of_columns_is_not_begun_and_not_repeated() {
    let api = Api::start().await;
    api.furnish().await;
    let body = "alice,PRE_SYNC,hunter2\nbob,PRE_SYNC,hunter2\n";
    let answer = send(&api, "", "text/csv", body).await;
    assert_eq!(
        results(&answer),
        [
            json!({ "error": "the first line must hold the names of columns: column 1 is no field of a submit, column 2 is \
            no field of a submit, column 3 is no field of a submit, sourceUid is missing, phase is missing; what \
            follows was not read, send it again" })
        ]
    );
    // The columns that there are: what a submit reads.
    let known = api.customer("POST", "/users/migrations", json!({ "~": 1 })).await.errors(400);
    let known =
        known.last().unwrap().strip_prefix("~: unknown field, there are: ").unwrap().replace(", ", ",");
    let all = format!("\u{feff}{known}\n");
    assert_eq!(send(&api, "", "text/csv", all).await.text, "");
}

#[tokio::test]
async fn a_byte_order_mark_is_passed_over() {
    let api = Api::start().await;
    api.furnish().await;
    let results = results(&send(&api, "", NDJSON, format!("\u{feff}{}", first("a"))).await);
    assert_eq!(statuses(&results), ["CREATED"]);
}

#[tokio::test]
async fn what_is_no_bulk_is_refused_at_once() {
    let api = Api::start().await;
    api.furnish().await;
    let answer = send(&api, "", "application/json", "{}").await;
    assert_eq!(answer.errors(415), ["Content-Type must be application/x-ndjson or text/csv"]);
    let answer = send(&api, "?dryRun=1&x=y", NDJSON, "{}").await;
    assert_eq!(answer.errors(400), ["dryRun: must be true or false", "x: unknown field, there are: dryRun"]);
    assert_eq!(send(&api, "", NDJSON, "").await.text, "");
    let long = format!("{{\"sourceUid\": \"{}\"}}\n{}", "x".repeat(64 * 1024), first("a"));
    let results = results(&send(&api, "", NDJSON, long).await);
    assert_eq!(statuses(&results), ["REFUSED", "CREATED"]);
    assert_eq!(results[0]["errors"], json!(["the line must not exceed 64 KiB"]));
}

#[tokio::test]
async fn a_line_may_take_the_target_uid_that_the_line_before_leaves() {
    let api = Api::start().await;
    api.furnish().await;
    api.submit("a").await;
    let close = "/users/a/migrations/close/latest/as/SUCCESS";
    api.customer("PUT", close, Value::Null).await.expect(200);
    let moved = json!({ "sourceUid": "a", "phase": "PRE_SYNC", "targetUid": "elsewhere", "force": true });
    let mut heir = first("b");
    heir["targetUid"] = json!("new-a");
    let results = results(&send(&api, "", NDJSON, ndjson([moved, heir])).await);
    assert_eq!(statuses(&results), ["CREATED", "CREATED"]);
}
