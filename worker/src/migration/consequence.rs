//! What an outcome means for others than its own user: the source host, or this worker.

use std::{error::Error as StdError, time::Duration};

use dmf_shared::{
    domain::{
        clock,
        outcome::{Outcome, Policy},
    },
    store::{self, Suspension, Trouble},
};

use super::{Runner, database::ANSWER_LIMIT};
use crate::{doveadm::judge::Judgement, held::Held};

impl Runner {
    /// Draws the consequences of the last run of a sync and tells them, for the record. None of them
    /// decides about this migration, so what MariaDB can't note is logged and left. The policy goes first:
    /// an operator may have set it.
    pub(super) async fn draw_consequences(
        &self,
        held: &Held,
        judgement: &Judgement,
        master_user: bool,
    ) -> Vec<String> {
        let draw = self.draw_consequence(held, judgement, master_user);
        match tokio::time::timeout(ANSWER_LIMIT, draw).await {
            Ok(Ok(consequence)) => return consequence.into_iter().collect(),
            Ok(Err(error)) => tracing::warn!(
                error = &error as &dyn StdError,
                "the trouble with the source host could not be noted"
            ),
            Err(_) => tracing::warn!("the trouble with the source host could not be noted in time"),
        }
        Vec::new()
    }

    async fn draw_consequence(
        &self,
        held: &Held,
        judgement: &Judgement,
        master_user: bool,
    ) -> store::Result<Option<String>> {
        let settings = self.settings.suspend;
        match (judgement.policy, judgement.outcome) {
            (_, Outcome::Success) => {
                self.claimant.store.clear_troubles(held.claimed.host.id).await.map(|()| None)
            }
            (Policy::BackOffHost, outcome) => {
                let why = match outcome {
                    Outcome::Limited => "the source host's own limit was hit",
                    _ => "the source host is to be left alone for a time",
                };
                self.suspend(held, judgement, settings.limited, why).await.map(Some)
            }
            (Policy::SuspendHost, _) => {
                let why = "all users of this host are expected to fail alike";
                self.suspend(held, judgement, settings.configuration, why).await.map(Some)
            }
            (Policy::LeaveWorker, _) => Ok(Some(self.rest_worker(&judgement.message))),
            (_, outcome) if outcome.counts_against_host(master_user) => {
                self.note_trouble(held, judgement).await
            }
            _ => Ok(None),
        }
    }

    /// Trouble with this machine: it leases nothing for a time.
    pub(super) fn rest_worker(&self, why: &str) -> String {
        let pause = self.settings.suspend.backend;
        tracing::error!(why, ?pause, "trouble with this backend; leasing nothing for a time");
        self.claimant.table.rest(pause);
        format!("the worker {} leases nothing until {}", self.claimant.holder.name, self.end_of(pause))
    }

    async fn suspend(
        &self,
        held: &Held,
        judgement: &Judgement,
        lasts: Duration,
        why: &str,
    ) -> store::Result<String> {
        let suspension = Suspension { lasts, reason: format!("{why}: {}", judgement.message) };
        self.claimant.store.suspend_sourcehost(held.claimed.host.id, &suspension).await?;
        Ok(self.tell_suspension(held, &suspension))
    }

    /// One more user in trouble; enough of them in a row suspend the host.
    async fn note_trouble(&self, held: &Held, judgement: &Judgement) -> store::Result<Option<String>> {
        let settings = self.settings.suspend;
        let (trouble, users, lasts, why) = match judgement.outcome {
            Outcome::Authentication => (
                Trouble::Authentication,
                settings.authentication_users,
                settings.authentication,
                "the master login of several users in a row was refused",
            ),
            _ => (
                Trouble::Unreachable,
                settings.unreachable_users,
                settings.unreachable,
                "several users in a row got no connection",
            ),
        };
        let suspension = Suspension { lasts, reason: format!("{why}: {}", judgement.message) };
        let (host, user) = (held.claimed.host.id, held.claimed.user.id);
        let suspended = self.claimant.store.note_trouble(host, user, trouble, users, &suspension).await?;
        Ok(suspended.then(|| self.tell_suspension(held, &suspension)))
    }

    fn tell_suspension(&self, held: &Held, suspension: &Suspension) -> String {
        let (reason, lasts) = (&suspension.reason, suspension.lasts);
        let host = &held.claimed.host.definition.name;
        tracing::error!(host, reason, ?lasts, "the source host is suspended");
        format!("the source host {host} is suspended until {}", self.end_of(lasts))
    }

    /// The time at which a pause that begins now ends, as text.
    fn end_of(&self, pause: Duration) -> String {
        clock::to_text(self.clock.now() + pause)
    }
}
