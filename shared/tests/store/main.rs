//! The store on a real MariaDB.

#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod claims;
mod ends;
mod ends_together;
mod outbox;
mod server;
mod submits;
#[path = "../support/mod.rs"]
mod support;
mod together;

use dmf_lab::Lab;
use dmf_shared::{
    domain::{ids::JobId, migration::Status},
    store::{ClaimRequest, Claimed, Counts, Decision, Finish, LeaseBeat, Refusal},
};
use serde_json::json;
use support::Scene;

pub(crate) async fn lab() -> Lab {
    Lab::builder().mariadb().start().await.unwrap()
}

pub(crate) async fn submit(scene: &Scene, uid: &str) -> JobId {
    let submitted = scene.store.submit(&scene.source, &scene.submission(uid)).await.unwrap();
    JobId { source: scene.source.id, journal: submitted.record.id }
}

pub(crate) async fn claim(scene: &Scene, jobs: &[JobId]) -> Vec<Decision> {
    let requests: Vec<_> = jobs.iter().map(|job| ClaimRequest { job: *job, host: scene.host }).collect();
    scene.store.claim(&scene.holder, &requests).await.unwrap()
}

pub(crate) fn granted(decisions: Vec<Decision>) -> Vec<Claimed> {
    decisions
        .into_iter()
        .filter_map(|decision| match decision {
            Decision::Granted(claimed) => Some(*claimed),
            Decision::Refused(..) => None,
        })
        .collect()
}

pub(crate) fn refusal(decisions: &[Decision], wanted: JobId) -> Option<Refusal> {
    decisions.iter().find_map(|decision| match decision {
        Decision::Refused(job, refusal) if *job == wanted => Some(*refusal),
        _ => None,
    })
}

pub(crate) fn success() -> Finish {
    Finish {
        status: Status::Success,
        details: json!([{ "dsync": { "success": true } }]),
        counts: Counts { sync_message_count: Some(150), ..Counts::default() },
        verification: None,
        attempt: 1,
    }
}

pub(crate) fn beat_of(beats: &[LeaseBeat], job: JobId) -> LeaseBeat {
    *beats.iter().find(|beat| beat.job == job).unwrap()
}
