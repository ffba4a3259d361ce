use std::time::Instant;

use anyhow::Result;

use super::field::Field;
use super::load::Load;
use super::report::Report;
use super::schedule::{Event, draw};
use super::{Plan, verdict};
use crate::binaries::Binaries;

/// Runs a campaign to its end and judges it. What goes wrong with the fleet stands in the report; an error is one
/// of the campaign itself.
pub async fn run(plan: &Plan, binaries: &Binaries) -> Result<Report> {
    println!("Chaos by {plan:?}; `--seed {}` replays it.", plan.seed);
    let field = Field::prepare(plan, binaries).await?;
    let mut load = Load::prepare(&field, plan.users, plan.seed)?;
    let events = draw(plan);
    let begin = Instant::now();
    let users = load.users.clone();
    let (broken, driven) =
        tokio::join!(follow(&field, &events, begin, &users), load.drive(&field, begin + plan.time));
    let mut violations = Vec::new();
    violations.extend([broken, driven].into_iter().filter_map(Result::err).map(|error| format!("{error:#}")));
    field.heal().await?;
    println!("{:8.3} s all is healed, waiting for rest", begin.elapsed().as_secs_f64());
    let healed = Instant::now();
    let facts = verdict::judge(&field, &mut load, &mut violations).await?;
    if !violations.is_empty() {
        field.fleet.print_logs();
    }
    Ok(Report::new(*plan, &events, facts, violations, healed.duration_since(begin), healed.elapsed()))
}

/// Lets all faults begin and end when it is their time.
async fn follow(field: &Field, events: &[Event], begin: Instant, users: &[String]) -> Result<()> {
    for event in events {
        tokio::time::sleep_until((begin + event.at).into()).await;
        println!("{event}");
        field.apply(*event, users).await?;
        field.look_for_ended().await?;
    }
    Ok(())
}
