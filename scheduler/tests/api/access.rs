//! IP patterns, rules for URLs, sensitive endpoints.

use std::net::SocketAddr;

use axum::extract::ConnectInfo;
use serde_json::Value;

use crate::support::{ADMIN, Api, KEY, KEY_HEADER, request, with_json};

const NOBODY: &[(&str, &str)] = &[];
const AS_ADMIN: &[(&str, &str)] = &[("Authorization", ADMIN)];
const AS_CUSTOMER: &[(&str, &str)] = &[(KEY_HEADER, KEY)];

/// Status of a GET from this address.
async fn get_from(api: &Api, peer: &str, path: &str, headers: &[(&str, &str)]) -> u16 {
    let call = headers.iter().fold(request("GET", path), |call, (name, value)| call.header(*name, *value));
    let mut call = with_json(call, &Value::Null);
    call.extensions_mut().insert(ConnectInfo(SocketAddr::new(peer.parse().unwrap(), 5000)));
    let answer = api.send(call).await;
    if answer.status.is_client_error() {
        answer.errors(answer.status.as_u16());
    }
    answer.status.as_u16()
}

async fn get(api: &Api, path: &str, headers: &[(&str, &str)]) -> u16 {
    get_from(api, "127.0.0.1", path, headers).await
}

#[tokio::test]
async fn sensitive_endpoints_ask_for_the_admin_and_no_customer_passes() {
    let api =
        Api::start_with("endpoints.all: {enabled: true, sensitive: true}\nendpoints.info.sensitive: false\n")
            .await;
    api.furnish().await;
    for path in ["/health", "/health/readiness", "/loggers", "/loggers/dmf"] {
        assert_eq!(get(&api, path, NOBODY).await, 401, "{path}");
        assert_eq!(get(&api, path, AS_CUSTOMER).await, 403, "{path}");
        assert_ne!(get(&api, path, AS_ADMIN).await / 100, 4, "{path}");
    }
    assert_eq!(get(&api, "/info", NOBODY).await, 200);
}

#[tokio::test]
async fn what_is_off_or_unknown_is_hidden_from_those_without_credentials() {
    let off = "endpoints: {info.enabled: false, health.enabled: false}\n";
    let api = Api::start_with(off).await;
    api.furnish().await;
    for path in ["/info", "/health", "/health/liveness", "/nothing"] {
        assert_eq!(get(&api, path, NOBODY).await, 401, "{path}");
        assert_eq!(get(&api, path, AS_ADMIN).await, 404, "{path}");
        assert_eq!(get(&api, path, AS_CUSTOMER).await, 404, "{path}");
    }
    let api = Api::start_with(&format!("{off}micronaut.security.reject-not-found: false\n")).await;
    for path in ["/info", "/nothing"] {
        assert_eq!(get(&api, path, NOBODY).await, 404, "{path}");
    }
    assert_eq!(get(&api, "/dmf/admin/api/v2/sources", NOBODY).await, 401);
}

#[tokio::test]
async fn rules_for_urls_close_but_never_open_the_api() {
    let rules = "micronaut.security.intercept-url-map:
  - {pattern: /dmf/admin/api/sources, access: [denyAll()]}
  - {pattern: /info, access: [isAnonymous()]}
  - {pattern: /health/**, access: [isAuthenticated()]}
  - {pattern: /**, http-method: GET, access: [isAnonymous()]}
";
    let api = Api::start_with(rules).await;
    api.furnish().await;
    // With the method first: the last rule decides for GET.
    assert_eq!(get(&api, "/health", NOBODY).await, 200);
    assert_eq!(get(&api, "/loggers", NOBODY).await, 200);
    assert_eq!(get(&api, "/dmf/admin/api/v2/sources", NOBODY).await, 401);
    assert_eq!(get(&api, "/dmf/api/v2/users", NOBODY).await, 401);
    assert_eq!(get(&api, "/dmf/api/v2/users", AS_CUSTOMER).await, 200);

    let api = Api::start_with(
        &rules.replace("  - {pattern: /**, http-method: GET, access: [isAnonymous()]}\n", ""),
    )
    .await;
    api.furnish().await;
    assert_eq!(get(&api, "/info", NOBODY).await, 200);
    assert_eq!(get(&api, "/health", NOBODY).await, 401);
    assert_eq!(get(&api, "/health", AS_CUSTOMER).await, 403);
    assert_eq!(get(&api, "/health", AS_ADMIN).await, 200);
    // The old path is closed, written in whatever way; the new one is another.
    for path in ["/dmf/admin/api/sources", "/dmf/admin/api/s%6furces"] {
        assert_ne!(get(&api, path, AS_ADMIN).await, 200, "{path}");
    }
    assert_eq!(get(&api, "/dmf/admin/api/sources", AS_ADMIN).await, 403);
    assert_eq!(get(&api, "/dmf/admin/api/sources", NOBODY).await, 401);
    assert_eq!(get(&api, "/dmf/admin/api/v2/sources", AS_ADMIN).await, 200);
}

#[tokio::test]
async fn addresses_that_match_no_pattern_are_refused() {
    let api = Api::start_with(
        "micronaut.security.ip-patterns: [127.0.0.1, 192.168.1.*]\ndmf.http.trusted-proxies: 192.168.1.250\n",
    )
    .await;
    for (peer, expected) in
        [("127.0.0.1", 200), ("192.168.1.9", 200), ("192.168.2.1", 403), ("10.0.0.1", 403)]
    {
        assert_eq!(get_from(&api, peer, "/dmf/admin/api/v2/sources", AS_ADMIN).await, expected, "{peer}");
    }
    assert_eq!(get_from(&api, "10.0.0.1", "/health", NOBODY).await, 401);
    // Behind a trusted proxy the client's address counts; nobody else is believed.
    let forwarded = ("X-Forwarded-For", "10.0.0.1");
    assert_eq!(get_from(&api, "192.168.1.250", "/health", &[AS_ADMIN[0], forwarded]).await, 403);
    assert_eq!(get_from(&api, "192.168.1.9", "/health", &[AS_ADMIN[0], forwarded]).await, 200);
}
