use std::collections::{BTreeMap, BTreeSet};

/// What answers of the API have promised.
#[derive(Debug, Default)]
pub(super) struct Promises {
    /// Rows whose creation was answered, with their users.
    pub(super) submitted: BTreeMap<u64, String>,
    /// Rows whose cancel was answered, with their epochs after the answer.
    pub(super) cancelled: BTreeMap<u64, u64>,
    /// Rows whose close was answered.
    pub(super) closed: BTreeSet<u64>,
    /// Users of whom a row may have been closed, though nobody said so.
    pub(super) maybe_closed: BTreeSet<String>,
    /// Users who were deleted with all their rows, or may have been.
    pub(super) deleted: BTreeSet<String>,
}

impl Promises {
    /// A user is gone, or may be, and nothing was promised for its rows.
    pub(super) fn forget(&mut self, user: &str) {
        self.submitted.retain(|_, of| of != user);
        self.deleted.insert(user.to_owned());
    }
}
