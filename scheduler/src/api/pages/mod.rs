//! The OpenAPI document as a file, and three pages that show it. Everything comes from the binary: no page
//! needs a network, and the security policy allows none. Anonymous, as the original's.

pub mod doc;

use std::{collections::BTreeSet, io::Read as _};

use axum::{
    Extension, Router,
    body::Bytes,
    http::{HeaderMap, HeaderName, HeaderValue, header},
    response::{IntoResponse as _, Response},
    routing::{MethodRouter, get},
};

use super::{encoding::takes_gzip, error::ApiError, openapi, routes};
use crate::app::App;

/// What may be served here, as `micronaut.router.static-resources` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Page {
    /// The document itself.
    Document,
    /// Swagger UI, which can call the API.
    SwaggerUi,
    /// ReDoc, which only shows it.
    Redoc,
    /// RapiDoc, which can call the API.
    Rapidoc,
}

impl Page {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Document, Self::SwaggerUi, Self::Redoc, Self::Rapidoc];

    /// Its name in the settings, which is also the first segment of its path.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Document => "swagger",
            Self::SwaggerUi => "swagger-ui",
            Self::Redoc => "redoc",
            Self::Rapidoc => "rapidoc",
        }
    }
}

/// The pages that are served; all unless the settings say otherwise.
pub type Pages = BTreeSet<Page>;

/// Path of the document.
pub const DOCUMENT: &str =
    concat!("/swagger/", env!("CARGO_PKG_NAME"), "-", env!("CARGO_PKG_VERSION"), ".yml");

/// A compressed file of the binary.
#[derive(Debug, Clone, Copy)]
struct Asset {
    path: &'static str,
    media: &'static str,
    gzip: &'static [u8],
}

macro_rules! asset {
    ($path:literal, $media:literal) => {
        Asset {
            path: concat!("/", $path),
            media: $media,
            gzip: include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/assets/", $path, ".gz")),
        }
    };
}

const SCRIPTS: [(Page, Asset); 4] = [
    (Page::SwaggerUi, asset!("swagger-ui/swagger-ui-bundle.js", "text/javascript; charset=utf-8")),
    (Page::SwaggerUi, asset!("swagger-ui/swagger-ui.css", "text/css; charset=utf-8")),
    (Page::Redoc, asset!("redoc/redoc.standalone.js", "text/javascript; charset=utf-8")),
    (Page::Rapidoc, asset!("rapidoc/rapidoc-min.js", "text/javascript; charset=utf-8")),
];

/// Starts Swagger UI; no script may stand in the page itself.
const SWAGGER_UI_START: &str = "\
const element = document.getElementById('swagger-ui');
SwaggerUIBundle({
  url: element.dataset.url,
  domNode: element,
  deepLinking: true,
  validatorUrl: null,
});
";

/// Own scripts and styles, own server, nothing else. Styles are also set by script.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
    img-src 'self' data:; font-src 'self' data:; connect-src 'self'; worker-src blob:; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The document, as it is served.
#[derive(Debug, Clone)]
pub struct Document(Result<Bytes, ApiError>);

impl Document {
    /// With this header of the customers' key.
    pub fn new(api_key_header: &HeaderName) -> Self {
        let text = openapi::document(&routes::routes(), api_key_header).to_yaml();
        Self(text.map(Bytes::from).map_err(|error| {
            let error = &error as &dyn std::error::Error;
            tracing::error!(error, "the OpenAPI document can't be written");
            ApiError::internal()
        }))
    }
}

/// Answers with the document, which the router holds.
pub async fn document(Extension(Document(document)): Extension<Document>) -> Response {
    answer("application/yaml", document)
}

/// Answers with Swagger UI.
pub async fn swagger_ui() -> Response {
    show(Page::SwaggerUi)
}

/// Answers with ReDoc.
pub async fn redoc() -> Response {
    show(Page::Redoc)
}

/// Answers with RapiDoc.
pub async fn rapidoc() -> Response {
    show(Page::Rapidoc)
}

fn show(page: Page) -> Response {
    let html = html(page).ok_or_else(ApiError::internal);
    answer("text/html; charset=utf-8", html.map(Bytes::from))
}

/// What belongs to the pages and is none of them, by path: they are no part of the API, so the document does not
/// name them.
fn parts() -> Vec<(Page, &'static str, MethodRouter<App>)> {
    let start = async || {
        answer("text/javascript; charset=utf-8", Ok(Bytes::from_static(SWAGGER_UI_START.as_bytes())))
    };
    let own = [
        (Page::SwaggerUi, "/swagger-ui/", get(swagger_ui)),
        (Page::Redoc, "/redoc/", get(redoc)),
        (Page::Rapidoc, "/rapidoc/", get(rapidoc)),
        (Page::SwaggerUi, "/swagger-ui/start.js", get(start)),
    ];
    let scripts = SCRIPTS.into_iter().map(|(page, asset)| {
        (page, asset.path, get(move |headers: HeaderMap| async move { script(&asset, &headers) }))
    });
    own.into_iter().chain(scripts).collect()
}

/// The paths of what belongs to the pages.
pub fn paths_of_parts() -> Vec<&'static str> {
    parts().into_iter().map(|(_, path, _)| path).collect()
}

/// The routes of what belongs to these pages; the pages themselves stand in the table of routes.
pub fn router(pages: &Pages) -> Router<App> {
    let served = parts().into_iter().filter(|(page, ..)| pages.contains(page));
    served.fold(Router::new(), |router, (_, path, handler)| router.route(path, handler))
}

fn html(page: Page) -> Option<String> {
    let (head, body) = match page {
        Page::Document => return None,
        Page::SwaggerUi => (
            "<link rel=\"stylesheet\" href=\"/swagger-ui/swagger-ui.css\">".to_owned(),
            format!(
                "<div id=\"swagger-ui\" data-url=\"{DOCUMENT}\"></div>\
                 <script src=\"/swagger-ui/swagger-ui-bundle.js\"></script>\
                 <script src=\"/swagger-ui/start.js\"></script>"
            ),
        ),
        Page::Redoc => (
            "<style>body { margin: 0 }</style>".to_owned(),
            format!(
                "<redoc spec-url=\"{DOCUMENT}\"></redoc><script src=\"/redoc/redoc.standalone.js\"></script>"
            ),
        ),
        Page::Rapidoc => (
            "<script src=\"/rapidoc/rapidoc-min.js\"></script>".to_owned(),
            format!(
                "<rapi-doc spec-url=\"{DOCUMENT}\" load-fonts=\"false\" allow-server-selection=\"false\" \
                 render-style=\"read\"></rapi-doc>"
            ),
        ),
    };
    Some(format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>Mailbox migration</title><link rel=\"icon\" href=\"data:,\">{head}</head><body>{body}</body></html>\n"
    ))
}

/// A compressed file, unpacked for the few clients that can't do that themselves.
fn script(asset: &Asset, headers: &HeaderMap) -> Response {
    let mut response = if takes_gzip(headers) {
        let mut response = answer(asset.media, Ok(Bytes::from_static(asset.gzip)));
        response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        response
    } else {
        let mut plain = Vec::new();
        let unpacked = flate2::read::GzDecoder::new(asset.gzip).read_to_end(&mut plain);
        answer(asset.media, unpacked.map(|_| Bytes::from(plain)).map_err(|_| ApiError::internal()))
    };
    let headers = response.headers_mut();
    headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600"));
    response
}

fn answer(media: &'static str, body: Result<Bytes, ApiError>) -> Response {
    let mut response = match body {
        Ok(body) => body.into_response(),
        Err(error) => return error.into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}
