//! `GET /users`

use axum::{Json, extract::State};
use dmf_shared::{domain::ids::UserId, store::UserFilter};
use serde_json::{Value, json};

use crate::{
    api::{auth::Customer, error::Result, query::Query},
    app::App,
};

/// A page of users in the order of their creation; `nextCursor` is there when there may be more.
pub async fn list(
    State(app): State<App>,
    Customer(source): Customer,
    Query(mut query): Query,
) -> Result<Json<Value>> {
    let sourcehost = match query.text("sourcehost").value() {
        Some(name) => {
            let host = app.store.sourcehost_id(source.id, &name).await?;
            if host.is_none() {
                query.refuse("sourcehost", "this Source has no such source host");
            }
            host
        }
        None => None,
    };
    let target = match query.text("target").value() {
        Some(name) => {
            let target = app.store.target_by_name(&name).await?;
            if target.is_none() {
                query.refuse("target", "there is no such target");
            }
            target.map(|target| target.id)
        }
        None => None,
    };
    let page = query.page();
    query.finish(|| Some(()))?;
    let after = UserId(page.cursor.unwrap_or(0));
    let filter = UserFilter { sourcehost, target, after, limit: page.limit };
    let users = app.store.users(&source, &filter).await?;
    let next = page.next(users.iter().map(|view| view.user.id.0));
    let users: Vec<Value> = users.iter().map(super::body).collect();
    Ok(Json(crate::api::record::object([("users", json!(users)), ("nextCursor", json!(next))])))
}
