//! `GET /users`

use axum::{Json, extract::State};
use dmf_shared::{domain::ids::UserId, store::UserFilter};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Shown, given::Places};
use crate::{
    api::{
        answer::is_left_out,
        auth::Customer,
        error::Result,
        fields::Fields,
        openapi::{Answer, Doc, Tag},
        query::{Page, Query},
    },
    app::App,
};

/// What the document says of [`list`].
pub const LIST: Doc = Doc {
    id: "listUsers",
    summary: "List users",
    description: "In the order of their creation, page by page. nextCursor is there when there may be more; users that come meanwhile disturb no page.",
    tag: Tag::User,
    query: Some(|fields| {
        read(fields);
    }),
    body: None,
    answers: &[Answer::json::<UserPage>(200, "A page of users.")],
    refuses: &[],
};

/// A page of users.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UserPage {
    users: Vec<Shown>,
    #[serde(skip_serializing_if = "is_left_out")]
    next_cursor: Option<String>,
}

/// A page of users in the order of their creation; `nextCursor` is there when there may be more.
pub async fn list(
    State(app): State<App>,
    Customer(source): Customer,
    Query(mut query): Query,
) -> Result<Json<UserPage>> {
    let Wanted { sourcehost, target, page } = read(&mut query);
    let names = (target, sourcehost);
    let (target, sourcehost) = Places::default().find(&app, &source, names, &mut query).await?;
    query.finish(|| Some(()))?;
    let after = UserId(page.cursor.unwrap_or(0));
    let filter = UserFilter { sourcehost, target, after, limit: page.limit };
    let users = app.store.users(&source, &filter).await?;
    let next_cursor = page.next(users.iter().map(|view| view.user.id.0));
    Ok(Json(UserPage { users: users.into_iter().map(Shown::from).collect(), next_cursor }))
}

struct Wanted {
    sourcehost: Option<String>,
    target: Option<String>,
    page: Page,
}

fn read(query: &mut Fields) -> Wanted {
    Wanted {
        sourcehost: query.text("sourcehost").value(),
        target: query.text("target").value(),
        page: query.page(),
    }
}
