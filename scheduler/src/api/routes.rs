//! Every route of the API, in one table: the router is built from it, and the authorization test reads it.

use axum::{
    Router,
    handler::Handler,
    http::Method,
    middleware::{from_fn, from_fn_with_state},
    routing::{self, MethodRouter},
};

use dmf_shared::ops::http::management;

use super::{
    admin::{self, backends, sourcehosts, sources, targets},
    audit, auth, crowding, deadline, json,
    management::{health, info, loggers, metrics},
    migrations,
    openapi::{Body, Doc},
    pages::{self, Page},
    ready, users,
};
use crate::app::App;

/// Who may call a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// The admin, with HTTP Basic.
    Admin,
    /// A customer, with the API key of a Source.
    Customer,
    /// Everybody; what the answer tells may depend on credentials.
    Everybody,
    /// The admin, or whoever the configuration opens it to.
    Configured,
}

/// One route.
#[derive(Debug)]
pub struct Route {
    /// Its method. GET answers HEAD too.
    pub method: Method,
    /// Its path, with `{name}` where a segment varies.
    pub path: &'static str,
    /// Who may call it.
    pub access: Access,
    /// What the OpenAPI document says of it.
    pub doc: Doc,
    /// The page that it is; the configuration may leave that out.
    pub page: Option<Page>,
    /// Its handler writes the entry of the audit log, with its change.
    notes_itself: bool,
    handler: MethodRouter<App>,
}

/// All routes.
pub fn routes() -> Vec<Route> {
    let all = [of_management(), of_pages(), of_sources(), of_targets(), of_customers()];
    all.into_iter().flatten().collect()
}

/// The state of this scheduler. What changes something asks for the admin in any configuration.
fn of_management() -> Vec<Route> {
    use Access::{Configured, Everybody};
    vec![
        get(Everybody, "/health", management::health, health::HEALTH),
        get(Everybody, "/health/liveness", management::liveness, health::LIVENESS),
        get(Everybody, "/health/readiness", management::readiness, health::READINESS),
        get(Configured, "/info", management::info, info::INFO),
        get(Configured, "/loggers", management::loggers, loggers::LIST),
        get(Configured, "/loggers/{logger}", management::logger, loggers::READ),
        post(Configured, "/loggers/{logger}", management::set_logger, loggers::SET),
        get(Configured, "/metrics", management::list_metrics, metrics::LIST),
        get(Configured, "/metrics/{metric}", management::show_metric, metrics::READ),
        get(Configured, "/prometheus", management::prometheus, metrics::PROMETHEUS),
    ]
}

/// The document and what shows it.
fn of_pages() -> Vec<Route> {
    let page = |page, route| Route { page: Some(page), ..route };
    vec![
        page(Page::Document, get(Access::Everybody, pages::DOCUMENT, pages::document, pages::doc::DOCUMENT)),
        page(
            Page::SwaggerUi,
            get(Access::Everybody, "/swagger-ui", pages::swagger_ui, pages::doc::SWAGGER_UI),
        ),
        page(Page::Redoc, get(Access::Everybody, "/redoc", pages::redoc, pages::doc::REDOC)),
        page(Page::Rapidoc, get(Access::Everybody, "/rapidoc", pages::rapidoc, pages::doc::RAPIDOC)),
    ]
}

/// What the admin does with Sources and their hosts.
fn of_sources() -> Vec<Route> {
    use Access::Admin;
    vec![
        get(Admin, "/dmf/admin/api/v2/sources", sources::list::list, sources::list::LIST),
        post(Admin, "/dmf/admin/api/v2/sources", sources::create::create, sources::create::CREATE),
        get(Admin, "/dmf/admin/api/v2/sources/{source}", sources::read::read, sources::read::READ),
        put(Admin, "/dmf/admin/api/v2/sources/{source}", sources::update::update, sources::update::UPDATE),
        delete(Admin, "/dmf/admin/api/v2/sources/{source}", sources::delete::delete, sources::delete::DELETE),
        put(Admin, "/dmf/admin/api/v2/sources/{source}/pause", sources::pause::pause, sources::pause::PAUSE),
        put(
            Admin,
            "/dmf/admin/api/v2/sources/{source}/resume",
            sources::pause::resume,
            sources::pause::RESUME,
        ),
        get(
            Admin,
            "/dmf/admin/api/v2/sources/{source}/sourcehosts",
            sourcehosts::list::list,
            sourcehosts::list::LIST,
        ),
        post(
            Admin,
            "/dmf/admin/api/v2/sources/{source}/sourcehosts",
            sourcehosts::create::create,
            sourcehosts::create::CREATE,
        ),
        get(
            Admin,
            "/dmf/admin/api/v2/sources/{source}/sourcehosts/{host}",
            sourcehosts::read::read,
            sourcehosts::read::READ,
        ),
        put(
            Admin,
            "/dmf/admin/api/v2/sources/{source}/sourcehosts/{host}",
            sourcehosts::update::update,
            sourcehosts::update::UPDATE,
        ),
        delete(
            Admin,
            "/dmf/admin/api/v2/sources/{source}/sourcehosts/{host}",
            sourcehosts::delete::delete,
            sourcehosts::delete::DELETE,
        ),
        put(
            Admin,
            "/dmf/admin/api/v2/sources/{source}/sourcehosts/{host}/pause",
            sourcehosts::pause::pause,
            sourcehosts::pause::PAUSE,
        ),
        put(
            Admin,
            "/dmf/admin/api/v2/sources/{source}/sourcehosts/{host}/resume",
            sourcehosts::pause::resume,
            sourcehosts::pause::RESUME,
        ),
    ]
}

/// What the admin does with targets and workers, and the audit log.
fn of_targets() -> Vec<Route> {
    use Access::Admin;
    vec![
        get(Admin, "/dmf/admin/api/v2/targets", targets::list::list, targets::list::LIST),
        post(Admin, "/dmf/admin/api/v2/targets", targets::create::create, targets::create::CREATE),
        get(Admin, "/dmf/admin/api/v2/targets/{target}", targets::read::read, targets::read::READ),
        delete(Admin, "/dmf/admin/api/v2/targets/{target}", targets::delete::delete, targets::delete::DELETE),
        get(
            Admin,
            "/dmf/admin/api/v2/targets/{target}/backends",
            backends::list::of_target,
            backends::list::OF_TARGET,
        ),
        get(
            Admin,
            "/dmf/admin/api/v2/targets/{target}/backends/{name}",
            backends::read::read,
            backends::read::READ,
        ),
        put(
            Admin,
            "/dmf/admin/api/v2/targets/{target}/backends/{name}",
            backends::update::update,
            backends::update::UPDATE,
        ),
        delete(
            Admin,
            "/dmf/admin/api/v2/targets/{target}/backends/{name}",
            backends::delete::delete,
            backends::delete::DELETE,
        ),
        put(
            Admin,
            "/dmf/admin/api/v2/targets/{target}/backends/{name}/start",
            backends::order::start,
            backends::order::START,
        ),
        put(
            Admin,
            "/dmf/admin/api/v2/targets/{target}/backends/{name}/pause",
            backends::order::pause,
            backends::order::PAUSE,
        ),
        put(
            Admin,
            "/dmf/admin/api/v2/targets/{target}/backends/{name}/stop",
            backends::order::stop,
            backends::order::STOP,
        ),
        get(Admin, "/dmf/admin/api/v2/backends", backends::list::all, backends::list::ALL),
        get(Admin, "/dmf/admin/api/v2/audit", admin::audit::list, admin::audit::LIST),
    ]
}

/// What customers do.
fn of_customers() -> Vec<Route> {
    use Access::Customer;
    vec![
        post(Customer, "/dmf/api/v2/users", users::create::create, users::create::CREATE),
        get(Customer, "/dmf/api/v2/users", users::list::list, users::list::LIST),
        get(Customer, "/dmf/api/v2/users/{source_uid}", users::read::read, users::read::READ),
        put(Customer, "/dmf/api/v2/users/{source_uid}", users::update::update, users::update::UPDATE),
        delete(Customer, "/dmf/api/v2/users/{source_uid}", users::delete::delete, users::delete::DELETE),
        Route {
            notes_itself: true,
            ..post(
                Customer,
                "/dmf/api/v2/users/migrations",
                migrations::submit::submit,
                migrations::submit::SUBMIT,
            )
        },
        post(Customer, "/dmf/api/v2/users/migrations/bulk", migrations::bulk::bulk, migrations::bulk::BULK),
        get(Customer, "/dmf/api/v2/users/migrations", migrations::list::list, migrations::list::LIST),
        get(
            Customer,
            "/dmf/api/v2/users/migrations/summary",
            migrations::summary::summary,
            migrations::summary::SUMMARY,
        ),
        get(
            Customer,
            "/dmf/api/v2/users/{source_uid}/migrations",
            migrations::history::history,
            migrations::history::HISTORY,
        ),
        get(
            Customer,
            "/dmf/api/v2/users/{source_uid}/migrations/latest",
            migrations::latest::latest,
            migrations::latest::LATEST,
        ),
        post(
            Customer,
            "/dmf/api/v2/users/{source_uid}/migrations/latest/cancel",
            migrations::cancel::cancel,
            migrations::cancel::CANCEL,
        ),
        put(
            Customer,
            "/dmf/api/v2/users/{source_uid}/migrations/latest/priority",
            migrations::prioritize::prioritize,
            migrations::prioritize::PRIORITIZE,
        ),
        get(
            Customer,
            "/dmf/api/v2/users/{source_uid}/migrations/{id}",
            migrations::read::read,
            migrations::read::READ,
        ),
        put(
            Customer,
            "/dmf/api/v2/users/{source_uid}/migrations/close/latest/as/{status}",
            migrations::close::close,
            migrations::close::CLOSE,
        ),
    ]
}

/// The routes as a router. A request goes through the check of credentials, the reading of its body, its
/// deadline, and, where it changes something, the audit log. Each route has its check also for methods that it
/// does not have. The checks of other routes than the API's are all before the router.
pub fn router(app: &App) -> Router<App> {
    let served = routes().into_iter().filter(|route| route.page.is_none_or(|page| app.pages.contains(&page)));
    served.fold(Router::new(), |router, Route { method, path, access, doc, notes_itself, handler, .. }| {
        if access == Access::Configured {
            return router
                .route(path, handler.route_layer(from_fn_with_state(app.clone(), audit::note_level)));
        }
        let handler = match method {
            Method::GET => handler,
            _ if notes_itself => {
                handler.route_layer(from_fn_with_state(app.clone(), audit::note_with_change))
            }
            _ => handler.route_layer(from_fn_with_state(app.clone(), audit::note)),
        };
        let handler = handler.route_layer(from_fn(deadline::answer_in_time));
        let handler = match method {
            Method::GET => handler,
            _ if matches!(doc.body, Some(Body::Lines(_))) => {
                handler.route_layer(from_fn_with_state(app.clone(), crowding::admit_bulk))
            }
            _ => handler.route_layer(from_fn(json::read_body)),
        };
        let handler = match access {
            Access::Everybody => handler,
            _ => handler.route_layer(from_fn_with_state(app.clone(), ready::require_schema)),
        };
        let handler = match access {
            Access::Admin => handler.layer(from_fn_with_state(app.clone(), auth::require_admin)),
            Access::Customer => handler.layer(from_fn_with_state(app.clone(), auth::require_customer)),
            Access::Everybody | Access::Configured => handler,
        };
        router.route(path, handler)
    })
}

fn get<H: Handler<T, App>, T: 'static>(access: Access, path: &'static str, handler: H, doc: Doc) -> Route {
    Route {
        method: Method::GET,
        path,
        access,
        doc,
        page: None,
        notes_itself: false,
        handler: routing::get(handler),
    }
}

fn post<H: Handler<T, App>, T: 'static>(access: Access, path: &'static str, handler: H, doc: Doc) -> Route {
    Route {
        method: Method::POST,
        path,
        access,
        doc,
        page: None,
        notes_itself: false,
        handler: routing::post(handler),
    }
}

fn put<H: Handler<T, App>, T: 'static>(access: Access, path: &'static str, handler: H, doc: Doc) -> Route {
    Route {
        method: Method::PUT,
        path,
        access,
        doc,
        page: None,
        notes_itself: false,
        handler: routing::put(handler),
    }
}

fn delete<H: Handler<T, App>, T: 'static>(access: Access, path: &'static str, handler: H, doc: Doc) -> Route {
    Route {
        method: Method::DELETE,
        path,
        access,
        doc,
        page: None,
        notes_itself: false,
        handler: routing::delete(handler),
    }
}
