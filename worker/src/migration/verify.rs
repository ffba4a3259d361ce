//! Verification: whether source and target are equal, and what it means when they are not.

use dmf_shared::domain::migration::Phase;
use serde_json::json;

use super::{Gathered, Runner, compare::compare_as_known, count::Counted, details::Block, sync::Synced};
use crate::{held::Held, settings::Verification};

impl Runner {
    /// Whether source and target are compared at all.
    fn verifies(&self) -> bool {
        let counts = self.settings.count;
        self.settings.sync.verification != Verification::Off && counts.local_post && counts.remote
    }

    /// Whether the comparison decides about this migration.
    pub(super) fn gates(&self, held: &Held) -> bool {
        self.verifies()
            && self.settings.sync.verification == Verification::Gate
            && held.claimed.phase == Phase::Cutover
    }

    /// Compares and reports; a CUTOVER that does not match, or that can't be compared, fails where the
    /// settings gate it.
    pub(super) fn verify(
        &self,
        held: &Held,
        prefix: Option<&str>,
        source: Option<&Counted>,
        target: Option<&Counted>,
        gathered: &mut Gathered,
    ) -> Synced {
        if !self.verifies() {
            return Synced::Yes;
        }
        let gates = self.gates(held);
        let mut block = Block::default();
        let excluded = &held.claimed.user.exclude_folders;
        let both = source.zip(target);
        let report = both.and_then(|(source, target)| compare_as_known(source, target, excluded, prefix));
        let equal = if let Some(report) = report {
            let equal = report.equal;
            block.set("success", equal || !gates).set("equal", equal);
            if !equal {
                tracing::warn!(gates, "{}", report.sentence());
                block.set("errors", json!([report.sentence()]));
            }
            gathered.verification = Some(json!(report.bounded()));
            equal
        } else {
            let sentence =
                "Source and target can't be compared, because a count failed or gives no numbers of mails";
            block.set("success", !gates).set("errors", json!([sentence]));
            false
        };
        gathered.details.push("verification", block);
        if equal || !gates { Synced::Yes } else { Synced::No }
    }
}
