//! The OpenAPI document: complete, of the routes that there are, and of the fields that the handlers read.

use std::{collections::BTreeSet, fs, path::Path};

use axum::http::{HeaderName, Method, header};
use dmf_scheduler::api::{
    openapi::{self, Content},
    routes::{Access, Route, routes},
};
use serde_json::{Value, json};

use crate::support::{ADMIN, Api, KEY, KEY_HEADER, request, with_json};

fn document() -> Value {
    let document = openapi::document(&routes(), &HeaderName::from_static("x-api-key"));
    serde_json::to_value(document).unwrap()
}

/// The path as the document writes it.
fn documented(path: &str) -> String {
    path.replace("{source_uid}", "{sourceUid}")
}

fn operation<'d>(document: &'d Value, route: &Route) -> &'d Value {
    let method = route.method.as_str().to_lowercase();
    &document["paths"][documented(route.path)][method]
}

fn name(route: &Route) -> String {
    format!("{} {}", route.method, route.path)
}

#[test]
fn each_route_is_documented_and_nothing_else() {
    let document = document();
    let there: BTreeSet<_> =
        routes().iter().map(|route| (documented(route.path), route.method.as_str().to_lowercase())).collect();
    let mut described = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        described.extend(item.as_object().unwrap().keys().map(|method| (path.clone(), method.clone())));
    }
    assert_eq!(described, there);
    let ids: BTreeSet<_> = routes().iter().map(|route| route.doc.id).collect();
    assert_eq!(ids.len(), routes().len(), "operation ids repeat");
}

#[test]
fn each_operation_is_complete() {
    let document = document();
    for route in routes() {
        let (operation, name) = (operation(&document, &route), name(&route));
        for field in ["summary", "description", "operationId"] {
            assert!(!operation[field].as_str().unwrap().is_empty(), "{name}: {field}");
        }
        let security = match route.access {
            Access::Admin | Access::Configured => json!([{ "admin": [] }]),
            Access::Customer => json!([{ "apiKey": [] }]),
            Access::Everybody => json!([{}, { "admin": [] }]),
        };
        assert_eq!(operation["security"], security, "{name}");
        assert_eq!(operation.get("requestBody").is_some(), route.doc.body.is_some(), "{name}");
        let responses = operation["responses"].as_object().unwrap();
        assert!(responses.keys().any(|status| status.starts_with('2')), "{name}");
        for (status, response) in responses {
            let response = resolved(&document, response);
            assert!(!response["description"].as_str().unwrap().is_empty(), "{name} {status}");
            let answer = route.doc.answers.iter().find(|answer| answer.status.to_string() == *status);
            if answer.is_some_and(|answer| matches!(answer.content, Content::Empty)) {
                assert!(response.get("content").is_none(), "{name}");
                continue;
            }
            let content = response["content"].as_object().unwrap();
            assert!(!content.is_empty(), "{name} {status}");
            for media in content.values() {
                assert!(!media["example"].is_null(), "{name} {status}");
                assert!(media["schema"].is_object(), "{name} {status}");
            }
        }
        let parameters: Vec<_> = operation["parameters"].as_array().into_iter().flatten().collect();
        let documented = documented(route.path);
        let varying = documented.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
        for varying in varying {
            let found = parameters.iter().find(|parameter| parameter["name"] == varying);
            assert_eq!(found.unwrap()["in"], "path", "{name} {varying}");
            assert_eq!(found.unwrap()["required"], true, "{name} {varying}");
        }
        for parameter in parameters {
            assert!(!parameter["description"].as_str().unwrap().is_empty(), "{name} {parameter}");
            assert!(!parameter["example"].is_null(), "{name} {parameter}");
        }
    }
}

#[test]
fn each_property_has_a_description_and_an_example() {
    let document = document();
    let mut lacking = Vec::new();
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        lacking.extend(unexplained(name, schema));
    }
    for route in routes() {
        if let Some(content) = operation(&document, &route)["requestBody"]["content"].as_object() {
            for media in content.values() {
                lacking.extend(unexplained(&name(&route), &media["schema"]));
                lacking.extend(unexplained(&name(&route), &media["itemSchema"]));
            }
        }
    }
    assert!(lacking.is_empty(), "no description or no example:\n{}", lacking.join("\n"));
}

/// Properties of a schema without a description or an example; of a property made of documented parts the
/// example is put together from theirs.
fn unexplained(name: &str, schema: &Value) -> Vec<String> {
    let mut lacking = Vec::new();
    for (field, property) in schema["properties"].as_object().into_iter().flatten() {
        let is_made_of_parts = property.get("$ref").is_some() || property["items"].get("$ref").is_some();
        let has_example =
            is_made_of_parts || property["examples"].as_array().is_some_and(|all| !all.is_empty());
        let has_description = property["description"].as_str().is_some_and(|text| !text.is_empty());
        if !has_description || !has_example {
            lacking.push(format!("{name}.{field}"));
        }
    }
    lacking
}

#[test]
fn no_example_shows_a_key_but_of_the_answer_that_sets_it() {
    let document = document();
    for route in routes() {
        let answers = operation(&document, &route)["responses"].to_string();
        let is_shown = ["POST /dmf/admin/api/v2/sources", "PUT /dmf/admin/api/v2/sources/{source}"]
            .contains(&&name(&route)[..]);
        assert_eq!(answers.contains("apiKey"), is_shown, "{}", name(&route));
    }
}

/// What a `$ref` refers to.
fn resolved<'d>(document: &'d Value, value: &'d Value) -> &'d Value {
    match value["$ref"].as_str() {
        Some(reference) => document.pointer(reference.trim_start_matches('#')).unwrap(),
        None => value,
    }
}

#[test]
fn every_reference_leads_somewhere() {
    let document = document();
    let mut references = Vec::new();
    collect_references(&document, &mut references);
    assert!(references.len() > 50);
    for reference in references {
        assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
    }
}

fn collect_references<'d>(value: &'d Value, found: &mut Vec<&'d str>) {
    match value {
        Value::Object(object) => {
            found.extend(object.get("$ref").and_then(Value::as_str));
            object.values().for_each(|value| collect_references(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| collect_references(value, found)),
        _ => {}
    }
}

/// The names that a handler says it knows, of an answer to the unknown field `x`.
fn known_fields(errors: &[String]) -> Option<BTreeSet<String>> {
    let known = errors.iter().find_map(|error| error.strip_prefix("x: unknown field, there are: "))?;
    Some(known.split(", ").map(str::to_owned).collect())
}

fn names(schema: &Value) -> BTreeSet<String> {
    schema["properties"].as_object().unwrap().keys().cloned().collect()
}

/// A handler that reads a field which is not documented, or the other way round, shows here.
#[tokio::test]
async fn what_is_documented_is_what_the_handlers_read() {
    let api = Api::start().await;
    api.furnish().await;
    api.register_worker().await;
    api.submit("alice").await;
    let document = document();
    let (mut bodies, mut queries) = (0, 0);
    for route in routes() {
        let operation = operation(&document, &route);
        let path = route
            .path
            .replace("{source}", "CustomerX")
            .replace("{host}", "imap.host.1")
            .replace("{target}", "default")
            .replace("{name}", "worker-1")
            .replace("{logger}", "dmf")
            .replace("{metric}", "process.uptime")
            .replace("{source_uid}", "alice");
        let call = |path: &str| {
            request(route.method.as_str(), path).header(header::AUTHORIZATION, ADMIN).header(KEY_HEADER, KEY)
        };
        if let Some(schema) = operation["requestBody"]["content"]["application/json"].get("schema") {
            let answer = api.send(with_json(call(&path), &json!({ "x": 1 }))).await;
            assert_eq!(known_fields(&answer.errors(400)).unwrap(), names(schema), "{}", name(&route));
            bodies += 1;
        }
        if route.doc.query.is_some() && route.method == Method::GET {
            let answer = api.send(with_json(call(&format!("{path}?x=1")), &Value::Null)).await;
            let parameters = operation["parameters"].as_array().unwrap().iter();
            let documented: BTreeSet<_> = parameters
                .filter(|parameter| parameter["in"] == "query")
                .map(|parameter| parameter["name"].as_str().unwrap().to_owned())
                .collect();
            assert_eq!(known_fields(&answer.errors(400)).unwrap(), documented, "{}", name(&route));
            queries += 1;
        }
    }
    assert!(bodies >= 9 && queries >= 3, "{bodies} bodies and {queries} queries were compared");
}

/// The document is kept in the repository, so that a change to the API shows in review.
#[test]
fn the_document_is_the_one_in_the_repository() {
    let generated = openapi::document(&routes(), &HeaderName::from_static("x-api-key")).to_yaml().unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let (kept, made) = (root.join("docs/openapi.yml"), root.join("target/openapi.yml"));
    if fs::read_to_string(&kept).ok().as_ref() != Some(&generated) {
        fs::write(&made, &generated).unwrap();
        panic!("the API has changed: look at the difference, then cp {} {}", made.display(), kept.display());
    }
}
