//! Who may see what by the configuration: before the routes' own checks of credentials.

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use dmf_shared::ops::http::{Caller, Judgement, Peer, Problem};

use super::{auth, error::Result};
use crate::app::App;

/// The path that the client wrote, where the request goes on under another one.
#[derive(Debug, Clone)]
pub struct AskedPath(pub String);

/// Middleware: refuses what the rules refuse, and says to the management endpoints who asks.
pub async fn check(State(app): State<App>, mut request: Request, next: Next) -> Result<Response> {
    let judgement = {
        let asked = request.extensions().get::<AskedPath>().map(|AskedPath(path)| path.as_str());
        let paths: Vec<&str> = std::iter::once(request.uri().path()).chain(asked).collect();
        let peer = request.extensions().get::<Peer>().map(|peer| peer.0);
        app.access.judge(peer, request.method(), &paths)
    };
    let caller = match judgement {
        Judgement::Hide => return auth::unknown_url(State(app), request).await,
        Judgement::Refuse | Judgement::AdminOnly => {
            let is_admin = auth::is_admin(&app, &request)?;
            if !is_admin && !auth::is_customer(&app, request.headers()).await? {
                return Err(auth::wrong(&app, &request));
            }
            if !is_admin || judgement == Judgement::Refuse {
                return Ok(Problem::forbidden().into_response());
            }
            Caller::Admin
        }
        Judgement::Pass if !app.access.is_endpoint(request.uri().path()) => {
            return Ok(next.run(request).await);
        }
        Judgement::Pass if auth::is_admin_here(&app, &request)? => Caller::Admin,
        Judgement::Pass => Caller::Anybody,
    };
    request.extensions_mut().insert(caller);
    Ok(next.run(request).await)
}
