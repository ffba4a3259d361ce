use std::sync::Mutex;
use std::time::Instant;

use anyhow::Result;
use time::OffsetDateTime;

use super::field::Field;
use super::load::Load;
use super::report::Report;
use super::schedule::{Event, draw};
use super::{Plan, evidence, verdict};
use crate::binaries::Binaries;
use crate::faults::Violation;

/// Runs a campaign to its end and judges it. What goes wrong with the fleet stands in the report; an error is one
/// of the campaign itself.
pub async fn run(plan: &Plan, binaries: &Binaries) -> Result<Report> {
    println!("Chaos by {plan:?}; `--seed {}` replays it.", plan.seed);
    let field = Field::prepare(plan, binaries).await?;
    let mut load = Load::prepare(&field, plan.users, plan.seed)?;
    let events = draw(plan);
    let diary = Diary::default();
    let begin = Instant::now();
    let users = load.users.clone();
    let (broken, driven) =
        tokio::join!(follow(&field, &events, begin, &users, &diary), load.drive(&field, begin + plan.time));
    let mut violations: Vec<Violation> = [broken, driven]
        .into_iter()
        .filter_map(Result::err)
        .map(|error| Violation::general(format!("the campaign itself broke off: {error:#}")))
        .collect();
    field.heal().await?;
    diary.write(&format!("{:8.3} s all is healed, waiting for rest", begin.elapsed().as_secs_f64()));
    let healed = Instant::now();
    let facts = verdict::judge(&field, &mut load, &mut violations).await?;
    if !violations.is_empty() {
        field.fleet.print_logs();
    }
    let violations = evidence::gather(&field, violations, &diary.lines()).await;
    Ok(Report::new(*plan, &events, facts, violations, healed.duration_since(begin), healed.elapsed()))
}

/// Lets all faults begin and end when it is their time.
async fn follow(
    field: &Field,
    events: &[Event],
    begin: Instant,
    users: &[String],
    diary: &Diary,
) -> Result<()> {
    for event in events {
        tokio::time::sleep_until((begin + event.at).into()).await;
        diary.write(&event.to_string());
        field.apply(event.fault, event.begins, users).await?;
        field.look_for_ended().await?;
        field.pay().await;
    }
    Ok(())
}

/// What was done when, by the clock of the logs.
#[derive(Debug, Default)]
struct Diary(Mutex<Vec<String>>);

impl Diary {
    fn write(&self, what: &str) {
        let (hour, minute, second, milli) = OffsetDateTime::now_utc().to_hms_milli();
        let line = format!("{hour:02}:{minute:02}:{second:02}.{milli:03} {what}");
        println!("{line}");
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(line);
    }

    fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }
}
