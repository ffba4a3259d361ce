//! Every route of the API, in one table: the router is built from it, and the authorization test reads it.

use axum::{
    Router,
    handler::Handler,
    http::Method,
    middleware::{from_fn, from_fn_with_state},
    routing::{self, MethodRouter},
};

use super::{
    admin::{self, backends, sourcehosts, sources, targets},
    audit, auth, deadline, health, json, migrations, users,
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
    handler: MethodRouter<App>,
}

/// All routes.
pub fn routes() -> Vec<Route> {
    use Access::{Admin, Customer, Everybody};
    vec![
        get(Everybody, "/health", health::health),
        get(Admin, "/dmf/admin/api/v2/sources", sources::list::list),
        post(Admin, "/dmf/admin/api/v2/sources", sources::create::create),
        get(Admin, "/dmf/admin/api/v2/sources/{source}", sources::read::read),
        put(Admin, "/dmf/admin/api/v2/sources/{source}", sources::update::update),
        delete(Admin, "/dmf/admin/api/v2/sources/{source}", sources::delete::delete),
        put(Admin, "/dmf/admin/api/v2/sources/{source}/pause", sources::pause::pause),
        put(Admin, "/dmf/admin/api/v2/sources/{source}/resume", sources::pause::resume),
        get(Admin, "/dmf/admin/api/v2/sources/{source}/sourcehosts", sourcehosts::list::list),
        post(Admin, "/dmf/admin/api/v2/sources/{source}/sourcehosts", sourcehosts::create::create),
        get(Admin, "/dmf/admin/api/v2/sources/{source}/sourcehosts/{host}", sourcehosts::read::read),
        put(Admin, "/dmf/admin/api/v2/sources/{source}/sourcehosts/{host}", sourcehosts::update::update),
        delete(Admin, "/dmf/admin/api/v2/sources/{source}/sourcehosts/{host}", sourcehosts::delete::delete),
        put(Admin, "/dmf/admin/api/v2/sources/{source}/sourcehosts/{host}/pause", sourcehosts::pause::pause),
        put(
            Admin,
            "/dmf/admin/api/v2/sources/{source}/sourcehosts/{host}/resume",
            sourcehosts::pause::resume,
        ),
        get(Admin, "/dmf/admin/api/v2/targets", targets::list::list),
        post(Admin, "/dmf/admin/api/v2/targets", targets::create::create),
        get(Admin, "/dmf/admin/api/v2/targets/{target}", targets::read::read),
        delete(Admin, "/dmf/admin/api/v2/targets/{target}", targets::delete::delete),
        get(Admin, "/dmf/admin/api/v2/targets/{target}/backends", backends::list::of_target),
        get(Admin, "/dmf/admin/api/v2/targets/{target}/backends/{name}", backends::read::read),
        put(Admin, "/dmf/admin/api/v2/targets/{target}/backends/{name}", backends::update::update),
        delete(Admin, "/dmf/admin/api/v2/targets/{target}/backends/{name}", backends::delete::delete),
        put(Admin, "/dmf/admin/api/v2/targets/{target}/backends/{name}/start", backends::order::start),
        put(Admin, "/dmf/admin/api/v2/targets/{target}/backends/{name}/pause", backends::order::pause),
        put(Admin, "/dmf/admin/api/v2/targets/{target}/backends/{name}/stop", backends::order::stop),
        get(Admin, "/dmf/admin/api/v2/backends", backends::list::all),
        get(Admin, "/dmf/admin/api/v2/audit", admin::audit::list),
        post(Customer, "/dmf/api/v2/users", users::create::create),
        get(Customer, "/dmf/api/v2/users", users::list::list),
        get(Customer, "/dmf/api/v2/users/{source_uid}", users::read::read),
        put(Customer, "/dmf/api/v2/users/{source_uid}", users::update::update),
        delete(Customer, "/dmf/api/v2/users/{source_uid}", users::delete::delete),
        post(Customer, "/dmf/api/v2/users/migrations", migrations::submit::submit),
        post(Customer, "/dmf/api/v2/users/migrations/bulk", migrations::bulk::bulk),
        get(Customer, "/dmf/api/v2/users/migrations", migrations::list::list),
        get(Customer, "/dmf/api/v2/users/migrations/summary", migrations::summary::summary),
        get(Customer, "/dmf/api/v2/users/{source_uid}/migrations", migrations::history::history),
        get(Customer, "/dmf/api/v2/users/{source_uid}/migrations/latest", migrations::latest::latest),
        post(Customer, "/dmf/api/v2/users/{source_uid}/migrations/latest/cancel", migrations::cancel::cancel),
        put(
            Customer,
            "/dmf/api/v2/users/{source_uid}/migrations/latest/priority",
            migrations::prioritize::prioritize,
        ),
        get(Customer, "/dmf/api/v2/users/{source_uid}/migrations/{id}", migrations::read::read),
        put(
            Customer,
            "/dmf/api/v2/users/{source_uid}/migrations/close/latest/as/{status}",
            migrations::close::close,
        ),
    ]
}

/// The one route whose body is read by its handler, as a stream.
const STREAMED: &str = "/dmf/api/v2/users/migrations/bulk";

/// The routes as a router. A request goes through the check of credentials, the reading of its body, its
/// deadline, and, where it changes something, the audit log. Each route has its check also for methods that it
/// does not have.
pub fn router(app: &App) -> Router<App> {
    routes().into_iter().fold(Router::new(), |router, Route { method, path, access, handler }| {
        let handler = match method {
            Method::GET => handler,
            _ => handler.route_layer(from_fn_with_state(app.clone(), audit::note)),
        };
        let handler = handler.route_layer(from_fn(deadline::answer_in_time));
        let handler = match method {
            Method::GET => handler,
            _ if path == STREAMED => handler,
            _ => handler.route_layer(from_fn(json::read_body)),
        };
        let handler = match access {
            Access::Admin => handler.layer(from_fn_with_state(app.clone(), auth::require_admin)),
            Access::Customer => handler.layer(from_fn_with_state(app.clone(), auth::require_customer)),
            Access::Everybody => handler,
        };
        router.route(path, handler)
    })
}

fn get<H: Handler<T, App>, T: 'static>(access: Access, path: &'static str, handler: H) -> Route {
    Route { method: Method::GET, path, access, handler: routing::get(handler) }
}

fn post<H: Handler<T, App>, T: 'static>(access: Access, path: &'static str, handler: H) -> Route {
    Route { method: Method::POST, path, access, handler: routing::post(handler) }
}

fn put<H: Handler<T, App>, T: 'static>(access: Access, path: &'static str, handler: H) -> Route {
    Route { method: Method::PUT, path, access, handler: routing::put(handler) }
}

fn delete<H: Handler<T, App>, T: 'static>(access: Access, path: &'static str, handler: H) -> Route {
    Route { method: Method::DELETE, path, access, handler: routing::delete(handler) }
}
