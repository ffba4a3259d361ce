//! The document and the pages that show it, from the binary and without a network.

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode, header};
use serde_json::Value;
use tower::ServiceExt as _;

use crate::support::{Api, request};

const DOCUMENT: &str = concat!("/swagger/dmf-scheduler-", env!("CARGO_PKG_VERSION"), ".yml");

async fn get(api: &Api, path: &str, encoding: &str) -> (StatusCode, HeaderMap, Vec<u8>) {
    let call = request("GET", path).header(header::ACCEPT_ENCODING, encoding);
    let call: Request<Body> = call.body(Body::empty()).unwrap();
    let response = api.router().oneshot(call).await.unwrap();
    let (parts, body) = response.into_parts();
    (parts.status, parts.headers, to_bytes(body, 16 << 20).await.unwrap().to_vec())
}

#[tokio::test]
async fn the_document_and_its_pages_are_there_for_everybody() {
    let api = Api::start_with("http.headers.xapikey: X-Own-Key\n").await;
    let (status, headers, body) = get(&api, DOCUMENT, "").await;
    assert_eq!(
        (status, &headers[header::CONTENT_TYPE]),
        (StatusCode::OK, &"application/yaml".parse().unwrap())
    );
    let text = String::from_utf8(body).unwrap();
    assert!(text.starts_with("openapi: 3.1.0\n") && text.contains("name: x-own-key"), "{text}");
    for page in ["/swagger-ui", "/redoc", "/rapidoc"] {
        for path in [page.to_owned(), format!("{page}/")] {
            let (status, headers, body) = get(&api, &path, "").await;
            let html = String::from_utf8(body).unwrap();
            assert_eq!(status, StatusCode::OK, "{path}: {html}");
            assert!(html.contains(DOCUMENT), "{html}");
            let policy = headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
            assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{policy}");
            for outside in ["http:", "https:", "//"] {
                assert!(!html.contains(outside) && !policy.contains(outside), "{html} {policy}");
            }
            // What it loads is there, packed for those who take it and plain for others.
            let loaded = html.split("src=\"").skip(1).chain(html.split("stylesheet\" href=\"").skip(1));
            let loaded =
                loaded.filter_map(|part| part.split('"').next()).filter(|part| part.starts_with('/'));
            assert!(loaded.clone().count() >= 1, "{html}");
            for asset in loaded {
                let (status, _, plain) = get(&api, asset, "identity").await;
                let (_, headers, packed) = get(&api, asset, "gzip, br").await;
                assert_eq!(status, StatusCode::OK, "{asset}");
                if plain.len() > 1000 {
                    assert_eq!(headers[header::CONTENT_ENCODING], "gzip", "{asset}");
                    assert!(packed.len() < plain.len() / 2, "{asset}");
                }
                assert!(std::str::from_utf8(&plain).is_ok(), "{asset}");
            }
        }
    }
}

#[tokio::test]
async fn a_page_without_a_mapping_is_not_served() {
    let api = Api::start_with(
        "micronaut.router.static-resources:\n  \
         swagger: {paths: 'classpath:META-INF/swagger', mapping: '/swagger/**'}\n  \
         redoc: {mapping: '/redoc/**'}\n  rapidoc: {mapping: '/rapidoc/**', enabled: false}\n",
    )
    .await;
    for (path, expected) in [
        (DOCUMENT, 200),
        ("/redoc", 200),
        ("/redoc/redoc.standalone.js", 200),
        ("/rapidoc", 401),
        ("/rapidoc/rapidoc-min.js", 401),
        ("/swagger-ui", 401),
        ("/swagger-ui/", 401),
        ("/swagger-ui/start.js", 401),
        ("/swagger/other.yml", 401),
    ] {
        assert_eq!(get(&api, path, "").await.0.as_u16(), expected, "{path}");
    }
    let wrong = api.admin("GET", "/sources", Value::Null).await;
    assert_eq!(wrong.status, StatusCode::OK);
}
