//! The shape of errors, and what is told to whom.

use axum::{
    body::Body,
    http::{HeaderValue, header},
};
use serde_json::{Value, json};

use crate::support::{ADMIN, Api, KEY, KEY_HEADER, request, with_json};

#[tokio::test]
async fn every_error_has_one_shape() {
    let api = Api::start().await;
    let answer = api.admin("POST", "/sources", json!({ "nam": "a" })).await;
    assert_eq!(answer.headers[header::CONTENT_TYPE], "application/json");
    assert_eq!(
        answer.expect(400),
        json!({
            "message": "Bad Request",
            "_links": { "self": { "href": "/dmf/admin/api/v2/sources", "templated": false } },
            "_embedded": { "errors": [
                { "message": "name: is required" },
                { "message": "nam: unknown field, did you mean name?" },
            ] },
        })
    );
    let path = "/dmf/admin/api/v2/sources/a%20b";
    let answer = api.admin("GET", "/sources/a%20b", Value::Null).await;
    assert_eq!(
        answer.expect(404),
        json!({
            "message": "Not Found",
            "_links": { "self": { "href": path, "templated": false } },
            "_embedded": { "errors": [{ "message": "Source not found" }] },
        })
    );
}

#[tokio::test]
async fn an_unknown_url_tells_the_anonymous_nothing() {
    let api = Api::start().await;
    api.furnish().await;
    let unknown = [
        "/",
        "/dmf",
        "/dmf/api/v2/user",
        "/dmf/api/v2/users/migrations/",
        "/dmf/admin/api/v2/source",
        "/dmf/admin/api/v2/sources/",
        "//dmf/admin/api/v2/sources",
        "/health/",
        "/DMF/API/v2/users/a/migrations",
    ];
    for path in unknown {
        for (name, value, status, error) in [
            ("x-none", "", 401, "Valid credentials are required"),
            ("authorization", "Basic eDp5", 401, "Valid credentials are required"),
            (KEY_HEADER, "wrong", 401, "Valid credentials are required"),
            ("authorization", ADMIN, 404, "Page Not Found"),
            (KEY_HEADER, KEY, 404, "Page Not Found"),
        ] {
            let call = request("GET", path).header(name, value).body(Body::empty()).unwrap();
            assert_eq!(api.send(call).await.errors(status), [error], "{path} {name}");
        }
    }
}

#[tokio::test]
async fn an_anonymous_caller_can_not_tell_a_route_from_none() {
    let api = Api::start().await;
    let mut answers = Vec::new();
    for path in ["/dmf/admin/api/v2/nothing", "/dmf/admin/api/v2/sources", "/dmf/api/v2/users/a/migrations"] {
        for method in ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"] {
            let answer = api.send(request(method, path).body(Body::empty()).unwrap()).await;
            let mut headers = answer.headers.clone();
            headers.remove("x-request-id").unwrap();
            answers.push((answer.status, headers, answer.text.replace(path, "")));
        }
    }
    for answer in &answers {
        assert_eq!(answer, &answers[0]);
    }
    assert_eq!(answers[0].1[header::WWW_AUTHENTICATE], "Basic realm=\"dmf\"");
}

#[tokio::test]
async fn another_method_is_answered_with_those_there_are() {
    let api = Api::start().await;
    api.furnish().await;
    for (method, path, allowed) in [("DELETE", "/targets", "GET,HEAD,POST"), ("PUT", "/backends", "GET,HEAD")]
    {
        let answer = api.admin(method, path, Value::Null).await;
        let uri = format!("/dmf/admin/api/v2{path}");
        let text = format!("Method [{method}] not allowed for URI [{uri}]. Allowed methods: [{allowed}]");
        assert_eq!(answer.errors(405), [text]);
        assert_eq!(answer.headers[header::ALLOW], allowed);
    }
    let answer = api.customer("GET", "/users/a/migrations/latest/cancel", Value::Null).await;
    assert_eq!(answer.errors(405).len(), 1);
    assert_eq!(answer.headers[header::ALLOW], "POST");
}

#[tokio::test]
async fn options_are_the_methods_for_those_who_may_call() {
    let api = Api::start().await;
    let answer = api.admin("OPTIONS", "/sources", Value::Null).await;
    assert_eq!((answer.status.as_u16(), answer.text.as_str()), (204, ""));
    assert_eq!(answer.headers[header::ALLOW], "GET,HEAD,POST");
    let call = request("OPTIONS", "/dmf/admin/api/v2/sources").body(Body::empty()).unwrap();
    api.send(call).await.errors(401);
}

#[tokio::test]
async fn an_id_of_a_request_is_short_and_visible() {
    let api = Api::start().await;
    let id = async |given: &str| {
        let call = request("GET", "/dmf/admin/api/v2/sources").header("x-request-id", given);
        api.send(call.body(Body::empty()).unwrap()).await.headers["x-request-id"].to_str().unwrap().to_owned()
    };
    let longest = "x".repeat(64);
    assert_eq!(id(&longest).await, longest);
    for given in ["", "a b", &"x".repeat(65)] {
        assert_eq!(id(given).await.len(), 36, "{given}");
    }
}

#[tokio::test]
async fn what_is_created_says_where_it_is_and_a_key_is_kept_nowhere() {
    let api = Api::start().await;
    let host = json!({ "name": "imap b", "maxConnections": 2, "migrationCommand1": { "name": "ignore" } });
    for (path, body, place) in [
        ("/sources", json!({ "name": "CustomerX", "apiKey": KEY }), "/sources/CustomerX"),
        ("/sources/CustomerX/sourcehosts", host, "/sources/CustomerX/sourcehosts/imap%20b"),
        ("/targets", json!({ "name": "default" }), "/targets/default"),
    ] {
        let answer = api.admin("POST", path, body).await;
        answer.expect(201);
        assert_eq!(answer.headers[header::LOCATION], format!("/dmf/admin/api/v2{place}"));
        api.admin("GET", place, Value::Null).await.expect(200);
        assert_eq!(answer.headers.get(header::CACHE_CONTROL).is_some(), path == "/sources");
    }
    let rotated = api.admin("PUT", "/sources/CustomerX", json!({ "apiKey": null })).await;
    assert_eq!(rotated.headers[header::CACHE_CONTROL], "no-store");
    let user =
        json!({ "sourceUid": "migrations", "targetUid": "m", "target": "default", "sourcehost": "imap b" });
    let key = rotated.json()["apiKey"].as_str().unwrap().to_owned();
    let call = request("POST", "/dmf/api/v2/users").header(KEY_HEADER, &key);
    let place = api.send(with_json(call, &user)).await.headers[header::LOCATION].to_str().unwrap().to_owned();
    let found = api.send(with_json(request("GET", &place).header(KEY_HEADER, &key), &Value::Null)).await;
    assert_eq!(found.expect(200)["sourceUid"], "migrations");
    // The database would pass over the blank.
    for path in ["/sources/CustomerX%20", "/targets/default%20", "/sources/CustomerX/sourcehosts/imap%20b%20"]
    {
        api.admin("GET", path, Value::Null).await.errors(404);
    }
    for name in [".", ".."] {
        api.admin("POST", "/targets", json!({ "name": name })).await.errors(400);
        let call = request("POST", "/dmf/api/v2/users").header(KEY_HEADER, &key);
        let refused = api.send(with_json(call, &json!({ "sourceUid": name }))).await.errors(400);
        assert!(refused[0].starts_with("sourceUid: must not be . or .."), "{refused:?}");
    }
}

#[tokio::test]
async fn a_path_that_is_no_uid_is_refused() {
    let api = Api::start().await;
    api.furnish().await;
    let answer = api.customer("GET", "/users/%FF/migrations", Value::Null).await;
    assert_eq!(answer.errors(400), ["The path must be percent-encoded UTF-8"]);
    let answer = api.customer("GET", "/users//migrations", Value::Null).await;
    assert_eq!(answer.errors(404), ["User not found"]);
    // A `%` without two digits is itself.
    let answer = api.customer("GET", "/users/100%/migrations", Value::Null).await;
    assert_eq!(answer.errors(404), ["User not found"]);
}

#[tokio::test]
async fn head_is_get_without_a_body() {
    let api = Api::start().await;
    let answer = api.admin("HEAD", "/sources", Value::Null).await;
    assert_eq!((answer.status.as_u16(), answer.text.as_str()), (200, ""));
    assert_eq!(answer.headers[header::CONTENT_TYPE], "application/json");
}

#[tokio::test]
async fn every_answer_carries_the_id_of_its_request() {
    let api = Api::start().await;
    let given = request("GET", "/dmf/admin/api/v2/sources").header("x-request-id", "abc");
    let answer = api.send(given.body(Body::empty()).unwrap()).await;
    assert_eq!(answer.headers["x-request-id"], "abc");
    let made = api.admin("GET", "/sources", Value::Null).await.headers["x-request-id"].clone();
    assert_eq!(made.len(), 36);
}

#[tokio::test]
async fn credentials_that_stand_twice_are_none() {
    let api = Api::start().await;
    api.furnish().await;
    for (path, name, good) in [
        ("/dmf/admin/api/v2/sources", "authorization", ADMIN),
        ("/dmf/api/v2/users/a/migrations", KEY_HEADER, KEY),
    ] {
        for other in [good, "x"] {
            let call =
                request("GET", path).header(name, good).header(name, other).body(Body::empty()).unwrap();
            api.send(call).await.errors(401);
        }
    }
}

#[tokio::test]
async fn credentials_of_any_odd_form_are_wrong_and_no_fault() {
    let api = Api::start().await;
    api.furnish().await;
    let odd: [&[u8]; 9] = [
        b"",
        b"Basic",
        b"Basic ",
        b"Basic !!!",
        b"Basic YWRtaW4=",
        b"Bearer YWRtaW46cGFzc3dvcmQ=",
        b"Basic \xff",
        b"\xff",
        b"Basic /zo=",
    ];
    for value in odd {
        let value = HeaderValue::from_bytes(value).unwrap();
        let call = request("GET", "/dmf/admin/api/v2/sources").header(header::AUTHORIZATION, &value);
        api.send(call.body(Body::empty()).unwrap()).await.errors(401);
        let call = request("GET", "/dmf/api/v2/users/a/migrations").header(KEY_HEADER, &value);
        api.send(call.body(Body::empty()).unwrap()).await.errors(401);
    }
    for value in ["basic YWRtaW46cGFzc3dvcmQ=", "BASIC  YWRtaW46cGFzc3dvcmQ="] {
        let call = request("GET", "/dmf/admin/api/v2/sources").header("AUTHORIZATION", value);
        api.send(call.body(Body::empty()).unwrap()).await.expect(200);
    }
}

#[tokio::test]
async fn without_an_admin_no_admin_route_answers() {
    let mut api = Api::start().await;
    api.app.admin = None;
    let router = dmf_scheduler::app::router(api.app.clone());
    let api = api.with_router(router);
    api.admin("GET", "/sources", Value::Null).await.errors(401);
}

#[tokio::test]
async fn the_header_of_the_key_can_be_named_otherwise() {
    let api = Api::start_with("http.headers.xapikey: X-Customer\n").await;
    api.furnish().await;
    api.customer("GET", "/users/a/migrations", Value::Null).await.errors(401);
    let call = request("GET", "/dmf/api/v2/users/a/migrations").header("x-customer", KEY);
    api.send(with_json(call, &Value::Null)).await.errors(404);
}
