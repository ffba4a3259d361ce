//! Reads of the newest record: those of a Source of a million users over those of one of a thousand.

use anyhow::{Context as _, Result, ensure};
use dmf_e2e::Customer;
use reqwest::Method;
use serde_json::json;

use super::tool::{K6, Order};
use crate::{
    rate::Samples,
    rows::Row,
    stage::{HOST, Stage},
};

/// The goal: large over small.
const GOAL: f64 = 1.5;
/// Users of the small Source.
const FEW: u64 = 1000;
/// What their names begin with, and the name of their Source.
const FEW_NAME: &str = "thousand";
const SMALL: &str = "Small";

/// The head of the table.
pub(super) const HEAD: [&str; 5] = ["of a read", "small, ms", "large, ms", "large ÷ small", "goal 1.50"];

/// A second Source with a thousand users, made through the API.
pub(super) async fn small_source(stage: &Stage) -> Result<Customer> {
    let customer = stage.fleet.create_source(SMALL).await?;
    let host = json!({ "name": HOST, "maxConnections": 100, "migrationCommand1": { "name": "ignore" } });
    let path = format!("/sources/{SMALL}/sourcehosts");
    stage.fleet.api().admin(Method::POST, &path, Some(&host)).await?.expect(201)?;
    let bodies: Vec<_> = (1..=FEW).map(|number| Row::new(FEW_NAME, number).body()).collect();
    let answers = stage.fleet.api().bulk(customer.key(), &bodies).await?;
    let created = answers.iter().filter(|answer| answer["status"] == "CREATED").count();
    ensure!(created == bodies.len(), "{created} of {FEW} users were created");
    Ok(customer)
}

/// Both in turn; a row for the median and one for the 95th percentile.
pub(super) async fn compare(
    k6: &K6,
    stage: &Stage,
    small: &Customer,
    known: (&str, u64),
    rounds: usize,
    secs: u64,
) -> Result<Vec<Vec<String>>> {
    let mut rows =
        [("median", [Samples::default(), Samples::default(), Samples::default()]), ("p95", <_>::default())];
    for round in 0..rounds {
        let mut read = [None, None];
        let order = if round % 2 == 0 { [0, 1] } else { [1, 0] };
        for side in order {
            let (customer, known) =
                if side == 0 { (small, (FEW_NAME, FEW)) } else { (&stage.customer, known) };
            let run = format!("latest{side}x{round}");
            let order = Order { script: "latest", secs, run: &run, customer, known };
            let summary = k6.run(stage, order).await?;
            ensure!(summary.failed() == 0.0, "{} reads failed", summary.failed());
            let times = summary.times()?;
            read[side] = Some(*times.get("latest").context("there were no reads")?);
        }
        let [Some(few), Some(many)] = read else { continue };
        println!(
            "latest, round {round}: {:.2} ms of a thousand, {:.2} ms of {}",
            few.median, many.median, known.1
        );
        for ((_, samples), (few, many)) in
            rows.iter_mut().zip([(few.median, many.median), (few.p95, many.p95)])
        {
            samples[0].add(few);
            samples[1].add(many);
            samples[2].add(many / few);
        }
    }
    let row = |(name, [few, many, ratio]): &(&str, [Samples; 3])| {
        let met = if ratio.median() <= GOAL { "met" } else { "**missed**" };
        vec![(*name).to_owned(), few.show(2), many.show(2), ratio.show(2), met.to_owned()]
    };
    Ok(rows.iter().map(row).collect())
}
