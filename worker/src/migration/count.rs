//! Counting a mailbox. A count that fails is recorded and fails nothing.

use dmf_shared::domain::{clock, outcome::Outcome};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{
    Gathered, Runner,
    details::{Block, exit_text},
    step::Interrupted,
    until,
};
use crate::{
    doveadm::{argv::Invocation, status::MailboxStatus},
    held::Held,
};

/// What a count found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Counted(pub(super) Vec<MailboxStatus>);

impl Counted {
    /// Mails over all mailboxes.
    pub(super) fn messages(&self) -> u64 {
        self.0.iter().filter_map(|mailbox| mailbox.messages).fold(0, u64::saturating_add)
    }

    /// All of them in three numbers, for the record.
    fn totals(&self) -> Value {
        json!({ "mailboxes": self.0.len(), "messages": self.messages(), "vsize": self.vsize() })
    }

    /// Bytes over all mailboxes, with line ends counted as two.
    pub(super) fn vsize(&self) -> u64 {
        self.0.iter().filter_map(|mailbox| mailbox.vsize).fold(0, u64::saturating_add)
    }
}

/// How a count ended.
#[derive(Debug)]
pub(super) enum CountEnd {
    /// With numbers.
    Counted(Counted),
    /// With another class than success, where there is one; what was counted by then is not all there is.
    Failed(Option<Outcome>, Counted),
}

impl CountEnd {
    /// The numbers, if there are any.
    pub(super) fn counted(self) -> Option<Counted> {
        match self {
            Self::Counted(counted) => Some(counted),
            Self::Failed(..) => None,
        }
    }
}

impl Runner {
    /// Counts and records.
    pub(super) async fn count(
        &self,
        held: &Held,
        invocation: &Invocation,
        step: &str,
        deadline: Instant,
        gathered: &mut Gathered,
    ) -> Result<CountEnd, Interrupted> {
        let (started, begun) = (self.clock.now(), Instant::now());
        let timeout = until(deadline, self.settings.sync.count_timeout);
        let ran = self.run_once(held, step, invocation, timeout, &gathered.secrets).await?;
        let outcome = ran.judgement.as_ref().map(|judgement| judgement.outcome);
        let success = outcome == Some(Outcome::Success) && ran.fault.is_none() && ran.complete;
        let mut block = Block::default();
        block.set("success", success).set("command", invocation.display());
        if let Some(exit) = ran.exit {
            block.set_exit(exit);
        }
        block.set("started", clock::to_text(started));
        block.set("durationMs", u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX));
        if !success {
            let message = ran.judgement.as_ref().map(|judgement| judgement.message.clone());
            let end = ran.exit.map_or_else(String::new, |exit| format!(" with {}", exit_text(exit)));
            let cut_off = (!ran.complete).then(|| "its output was cut off".to_owned());
            let why = gathered.secrets.hide(ran.fault.or(cut_off).or(message).unwrap_or_default());
            tracing::warn!(step, why, "a count failed");
            block.set("outcome", outcome.map_or("failed", Outcome::as_str));
            let ours = format!("The count failed{end}. Reason: {why}");
            block.set_errors(Some(ours), &ran.stderr, &gathered.secrets);
        }
        let counted = Counted(ran.judgement.map(|judgement| judgement.mailboxes).unwrap_or_default());
        if !success && !counted.0.is_empty() {
            // Good rows come even when a mailbox can't be counted.
            block.set("counted", counted.totals());
        }
        gathered.details.push(step, block);
        Ok(if success { CountEnd::Counted(counted) } else { CountEnd::Failed(outcome, counted) })
    }
}
