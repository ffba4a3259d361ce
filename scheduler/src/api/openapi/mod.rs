//! The OpenAPI document. It is made of the route table: what a request may hold is recorded from the readers
//! that the handlers call, what an answer holds is the schema of the type that is serialized, and what the
//! fields mean stands in one glossary.

mod answers;
mod command;
mod doc;
mod example;
mod glossary;
mod requests;

use std::collections::BTreeMap;

use axum::http::{HeaderName, Method};
use utoipa::openapi::{
    ComponentsBuilder, HttpMethod, Info, License, OpenApi, OpenApiBuilder, PathItem, PathsBuilder, RefOr,
    Schema,
    path::{Operation, OperationBuilder},
    security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
    tag::TagBuilder,
};

pub use doc::{Answer, Body, Content, Doc, Reader, Shape, Tag};

use super::routes::{Access, Route};

const TITLE: &str = "Mailbox migration";
const ABOUT: &str = "\
Takes mailbox migrations, keeps their records and steers the fleet of workers.

The admin calls with HTTP Basic, customers call with the API key of their Source. Times are ISO-8601 in UTC; \
fields without a value are left out of answers. Errors have one shape, with everything that is wrong at once; \
unknown fields are wrong.

The deprecated v1 is the same under paths without `/v2`: its answers hold every field, null where empty, its \
bodies may hold unknown ones, and its only target is `default`.";

/// Names of the security schemes.
const BASIC: &str = "admin";
const KEY: &str = "apiKey";

/// Schemas by name, as operations refer to them.
type Schemas = BTreeMap<String, RefOr<Schema>>;

/// The document of these routes. `api_key_header` is the header of the customers' key.
pub fn document(routes: &[Route], api_key_header: &HeaderName) -> OpenApi {
    let mut schemas = Schemas::new();
    command::add(&mut schemas);
    answers::add(&mut schemas);
    let mut items: Vec<(String, PathItem)> = Vec::new();
    for route in routes {
        for answer in route.doc.answers {
            answers::collect(answer, &mut schemas);
        }
    }
    glossary::explain_all(&mut schemas);
    for route in routes {
        let path = requests::path(route.path);
        let operation = operation(route, &schemas);
        let Some(method) = method(&route.method) else { continue };
        match items.iter_mut().find(|(known, _)| *known == path) {
            Some((_, item)) => item.merge_operations(PathItem::new(method, operation)),
            None => items.push((path, PathItem::new(method, operation))),
        }
    }
    let paths = items.into_iter().fold(PathsBuilder::new(), |paths, (path, item)| paths.path(path, item));
    let components = schemas
        .into_iter()
        .fold(ComponentsBuilder::new(), |components, (name, schema)| components.schema(name, schema))
        .responses_from_iter(answers::errors())
        .security_scheme(
            BASIC,
            SecurityScheme::Http(
                HttpBuilder::new()
                    .scheme(HttpAuthScheme::Basic)
                    .description(Some("`http.admin.username` and `http.admin.password`"))
                    .build(),
            ),
        )
        .security_scheme(
            KEY,
            SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::with_description(
                api_key_header.as_str(),
                "The API key of a Source",
            ))),
        );
    let mut info = Info::new(TITLE, env!("CARGO_PKG_VERSION"));
    info.description = Some(ABOUT.to_owned());
    info.license = Some(License::new(env!("CARGO_PKG_LICENSE")));
    let tags =
        Tag::ALL.map(|(tag, about)| TagBuilder::new().name(tag.name()).description(Some(about)).build());
    OpenApiBuilder::new()
        .info(info)
        .tags(Some(tags))
        .paths(paths)
        .components(Some(components.build()))
        .build()
}

fn method(method: &Method) -> Option<HttpMethod> {
    match *method {
        Method::GET => Some(HttpMethod::Get),
        Method::POST => Some(HttpMethod::Post),
        Method::PUT => Some(HttpMethod::Put),
        Method::DELETE => Some(HttpMethod::Delete),
        _ => None,
    }
}

fn operation(route: &Route, schemas: &Schemas) -> Operation {
    let doc = &route.doc;
    let operation = OperationBuilder::new()
        .operation_id(Some(doc.id))
        .summary(Some(doc.summary))
        .description(Some(doc.description))
        .tag(doc.tag.name())
        .securities(Some(security(route.access)))
        .responses(answers::of(route, schemas));
    let operation = requests::parameters(route).into_iter().fold(operation, OperationBuilder::parameter);
    match doc.body {
        Some(body) => operation.request_body(Some(requests::body(body, doc.tag, schemas))),
        None => operation,
    }
    .build()
}

/// Who may call. Where everybody may, the admin is shown more.
fn security(access: Access) -> Vec<SecurityRequirement> {
    let scheme = |name: &str| SecurityRequirement::new::<_, _, &str>(name, []);
    match access {
        Access::Admin | Access::Configured => vec![scheme(BASIC)],
        Access::Customer => vec![scheme(KEY)],
        Access::Everybody => vec![SecurityRequirement::default(), scheme(BASIC)],
    }
}
