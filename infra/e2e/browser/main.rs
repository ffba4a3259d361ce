//! The pages that show the API, in a real browser that reaches nothing but the scheduler.

#![allow(clippy::disallowed_methods, reason = "a test that starts a browser")]

mod webdriver;

use anyhow::{Context as _, Result};
use dmf_e2e::Fleet;
use serde_json::{Value, json};

use webdriver::Browser;

/// How many operations the served document has.
async fn operations(fleet: &Fleet) -> Result<usize> {
    let path = format!("/swagger/dmf-scheduler-{}.yml", env!("CARGO_PKG_VERSION"));
    let text = reqwest::get(format!("{}{path}", fleet.api().url())).await?.error_for_status()?.text().await?;
    Ok(text.lines().filter(|line| line.trim_start().starts_with("operationId: ")).count())
}

async fn in_browser(test: impl AsyncFnOnce(&Fleet, &Browser, Value) -> Result<()>) -> Result<()> {
    Fleet::builder()
        .workers(0)
        .run(async |fleet| {
            let operations = json!(operations(fleet).await?);
            let browser = Browser::start(fleet.lab()).await?;
            let done = test(fleet, &browser, operations).await;
            let mut errors = browser.errors().await?;
            // ReDoc's own mark at the foot of its menu; the policy stops it and nothing else misses it.
            errors.retain(|error| !error.contains("cdn.redoc.ly"));
            browser.close().await?;
            done.with_context(|| format!("the console shows {errors:?}"))?;
            assert_eq!(errors, Vec::<String>::new());
            Ok(())
        })
        .await
}

#[tokio::test]
async fn swagger_ui_shows_every_operation_and_calls_the_server() -> Result<()> {
    in_browser(async |fleet, browser, operations| {
        fleet.create_source("CustomerX").await?;
        browser.open(&format!("{}/swagger-ui", fleet.api().url())).await?;
        browser.wait_for("document.querySelectorAll('.opblock').length", &operations).await?;
        browser.click(".scheme-container button.authorize").await?;
        browser.enter("#auth-basic-username", dmf_e2e::ADMIN).await?;
        browser.enter("#auth-basic-password", dmf_e2e::ADMIN_PASSWORD).await?;
        browser.click("form:has(#auth-basic-username) button[type=submit]").await?;
        browser.click(".modal-ux .btn-done").await?;
        let operation = "#operations-Sources-listSources";
        browser.click(&format!("{operation} .opblock-summary-control")).await?;
        browser.click(&format!("{operation} .try-out__btn")).await?;
        browser.click(&format!("{operation} .execute")).await?;
        let live = format!("document.querySelector('{operation} .live-responses-table')");
        let status = format!("{live}?.querySelector('tbody .response-col_status')?.firstChild.textContent");
        browser.wait_for(&status, &json!("200")).await?;
        let shows_source = format!("{live}.textContent.includes('\"name\": \"CustomerX\"')");
        browser.wait_for(&shows_source, &json!(true)).await
    })
    .await
}

#[tokio::test]
async fn redoc_shows_every_operation() -> Result<()> {
    in_browser(async |fleet, browser, operations| {
        browser.open(&format!("{}/redoc", fleet.api().url())).await?;
        browser.wait_for("document.querySelectorAll('[id*=\"/operation/\"]').length", &operations).await
    })
    .await
}

#[tokio::test]
async fn rapidoc_shows_every_operation() -> Result<()> {
    in_browser(async |fleet, browser, operations| {
        browser.open(&format!("{}/rapidoc", fleet.api().url())).await?;
        let shown = "document.querySelector('rapi-doc')?.shadowRoot?.querySelectorAll('.expanded-endpoint-body').length";
        browser.wait_for(shown, &operations).await
    })
    .await
}
