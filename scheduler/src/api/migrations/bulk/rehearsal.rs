//! What a dry run would have created so far, so that later lines of the same input are answered as they would be.

use std::{
    collections::HashSet,
    hash::{BuildHasher as _, Hash, RandomState},
};

use dmf_shared::store::Place;

/// How many lines are remembered. Later ones are checked against these and the database alone, so that an input
/// of any length takes no more than about 40 MB.
const LINES: usize = 1_000_000;

/// The users and the places of lines that would be created. Kept as hashes with a key of this rehearsal alone:
/// that two of a million are the same by chance happens once in some ten million rehearsals.
#[derive(Debug, Default)]
pub(super) struct Rehearsal {
    users: HashSet<u64>,
    places: HashSet<u64>,
    hasher: RandomState,
}

impl Rehearsal {
    /// Whether an earlier line would have submitted a migration of this user.
    pub(super) fn has_user(&self, source_uid: &str) -> bool {
        !self.users.is_empty() && self.users.contains(&self.hash(source_uid))
    }

    /// Remembers a line that the database would take; `false` when an earlier one takes its place.
    pub(super) fn add(&mut self, source_uid: &str, place: &Place) -> bool {
        let (user, place) = (self.hash(source_uid), self.hash(place));
        if self.places.contains(&place) {
            return false;
        }
        if self.users.len() < LINES {
            self.users.insert(user);
            self.places.insert(place);
        }
        true
    }

    fn hash(&self, value: impl Hash) -> u64 {
        self.hasher.hash_one(value)
    }
}
