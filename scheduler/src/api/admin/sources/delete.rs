//! `DELETE /sources/{source}`

use std::time::Duration;

use axum::{extract::State, http::StatusCode};
use dmf_shared::store::{Deletion, Source};
use tokio::time::{Instant, sleep};

use crate::{
    api::{
        error::{ApiError, Result},
        fields::Fields,
        openapi::{Answer, Doc, Tag},
        path::Path,
        query::Query,
    },
    app::App,
};

/// How long one request waits for migrations to end; below the deadline of requests.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long it waits between two looks.
const PAUSE: Duration = Duration::from_secs(1);

/// What the document says of [`delete`].
pub const DELETE: Doc = Doc {
    id: "deleteSource",
    summary: "Delete a Source",
    description: "With its users and records. With force=true its key is void at once and every open migration is cancelled; when these need longer to end than one request waits, 503 asks for the same request again.",
    tag: Tag::Source,
    query: Some(|fields| {
        read(fields);
    }),
    body: None,
    answers: &[Answer::empty(204, "The Source is deleted.")],
    refuses: &[(409, "Migrations are open, and force is not true.")],
};

/// Deletes a Source with its users and records. 409 while a migration is open. With `force=true` its key is
/// void at once and every open migration is cancelled; 503 when these need longer to end than one request
/// waits: the same request again goes on with it.
pub async fn delete(
    State(app): State<App>,
    Path(name): Path<String>,
    Query(mut query): Query,
) -> Result<StatusCode> {
    let force = read(&mut query);
    query.finish(|| Some(()))?;
    let source = super::find(&app, &name).await?;
    let until = Instant::now() + PATIENCE;
    if force {
        app.store.void_api_key(source.id).await?;
    }
    loop {
        if force {
            cancel_all(&app, &source).await?;
        }
        match app.store.delete_source(&source).await? {
            Deletion::Done => {
                tracing::info!(source = %source.name, force, "source deleted");
                return Ok(StatusCode::NO_CONTENT);
            }
            Deletion::Open(open) if !force => {
                return Err(ApiError::conflict(format!(
                    "{open} migrations of this Source are open or being killed, and would be cancelled with force=true"
                )));
            }
            Deletion::Open(open) if Instant::now() >= until => return Err(goes_on(open)),
            Deletion::Open(_) => sleep(PAUSE).await,
            Deletion::Unfinished if Instant::now() >= until => return Err(goes_on(0)),
            Deletion::Unfinished => {}
        }
    }
}

fn read(query: &mut Fields) -> bool {
    query.switch("force")
}

async fn cancel_all(app: &App, source: &Source) -> Result<()> {
    while app.store.cancel_some(source).await? {
        app.relay.notify_one();
    }
    app.relay.notify_one();
    Ok(())
}

fn goes_on(open: u64) -> ApiError {
    let rest =
        if open > 0 { format!("{open} migrations have not ended yet") } else { "rows are left".to_owned() };
    ApiError::new(
        StatusCode::SERVICE_UNAVAILABLE,
        format!("The deletion is not finished ({rest}), send the same request again"),
    )
}
