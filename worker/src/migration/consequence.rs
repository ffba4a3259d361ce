//! What an outcome means for others than its own user: the source host, or this worker.

use std::error::Error as StdError;

use dmf_shared::{
    domain::outcome::{Outcome, Policy},
    store::{self, Suspension, Trouble},
};

use super::{Runner, database::ANSWER_LIMIT};
use crate::{doveadm::judge::Judgement, held::Held};

impl Runner {
    /// Draws the consequences of the last run of a sync. None of them decides about this migration, so
    /// what MariaDB can't note is logged and left.
    pub(super) async fn draw_consequences(&self, held: &Held, judgement: &Judgement, master_user: bool) {
        let note = self.note_consequences(held, judgement, master_user);
        match tokio::time::timeout(ANSWER_LIMIT, note).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(
                error = &error as &dyn StdError,
                "the trouble with the source host could not be noted"
            ),
            Err(_) => tracing::warn!("the trouble with the source host could not be noted in time"),
        }
    }

    async fn note_consequences(
        &self,
        held: &Held,
        judgement: &Judgement,
        master_user: bool,
    ) -> store::Result<()> {
        let store = &self.claimant.store;
        let (host, user) = (held.claimed.host.id, held.claimed.user.id);
        let settings = self.settings.suspend;
        let reason = |why: &str| format!("{why}: {}", judgement.message);
        match (judgement.outcome, judgement.policy) {
            (Outcome::Success, _) => store.clear_troubles(host).await,
            (Outcome::Authentication, _) if judgement.outcome.counts_against_host(master_user) => {
                let suspension = Suspension {
                    lasts: settings.authentication,
                    reason: reason("the master login of several users in a row was refused"),
                };
                let users = settings.authentication_users;
                let noted = store.note_trouble(host, user, Trouble::Authentication, users, &suspension).await;
                noted.map(|suspended| log_suspension(suspended, &suspension))
            }
            (Outcome::Unreachable, _) => {
                let suspension = Suspension {
                    lasts: settings.unreachable,
                    reason: reason("several users in a row got no connection"),
                };
                let users = settings.unreachable_users;
                let noted = store.note_trouble(host, user, Trouble::Unreachable, users, &suspension).await;
                noted.map(|suspended| log_suspension(suspended, &suspension))
            }
            (_, Policy::BackOffHost) => {
                let suspension = Suspension {
                    lasts: settings.limited,
                    reason: reason("the source host's own limit was hit"),
                };
                log_suspension(true, &suspension);
                store.suspend_sourcehost(host, &suspension).await
            }
            (_, Policy::SuspendHost) => {
                let suspension =
                    Suspension { lasts: settings.configuration, reason: reason("the command can't work") };
                log_suspension(true, &suspension);
                store.suspend_sourcehost(host, &suspension).await
            }
            (_, Policy::LeaveWorker) => {
                tracing::error!(why = judgement.message, pause = ?settings.backend, "trouble with this backend; leasing nothing for a time");
                self.claimant.table.rest(settings.backend);
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

fn log_suspension(suspended: bool, suspension: &Suspension) {
    if suspended {
        tracing::error!(reason = suspension.reason, lasts = ?suspension.lasts, "the source host is suspended");
    }
}
