//! `GET /users/{sourceUid}/migrations`

use axum::{Json, extract::State};
use dmf_shared::domain::ids::JournalId;

use super::list::MigrationPage;
use crate::{
    api::{
        auth::Customer,
        error::Result,
        openapi::{Answer, Doc, Tag},
        path::Path,
        query::Query,
    },
    app::App,
};

/// What the document says of [`history`].
pub const HISTORY: Doc = Doc {
    id: "listMigrationsOfUser",
    summary: "List the migrations of a user",
    description: "Newest first, page by page.",
    tag: Tag::Migration,
    query: Some(|fields| {
        fields.page();
    }),
    body: None,
    answers: &[Answer::json::<MigrationPage>(200, "A page of records.")],
    refuses: &[],
};

/// A page of the records of a user, newest first; `nextCursor` is there when there may be more.
pub async fn history(
    State(app): State<App>,
    Customer(source): Customer,
    Path(source_uid): Path<String>,
    Query(mut query): Query,
) -> Result<Json<MigrationPage>> {
    let page = query.page();
    query.finish(|| Some(()))?;
    let user = super::find_user(&app, &source, &source_uid).await?;
    let records = app.store.history(&source, user.id, page.cursor.map(JournalId), page.limit).await?;
    Ok(Json(MigrationPage::show(&app, &source, page, &records).await))
}
