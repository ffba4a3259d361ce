//! Single submits. Those of a Source that come at the same time go together: one transaction, and one commit, for all
//! of them.

use std::{
    collections::{HashMap, HashSet},
    panic::resume_unwind,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use dmf_shared::{
    batcher::{Batcher, Unjoined},
    domain::ids::SourceId,
    store::{self, Source, Store, Submission, SubmitError, Submitted},
};
use tokio::{sync::Notify, time::timeout};
use tracing::Instrument as _;

/// Transactions of a Source at a time: a few submits go faster beside each other, since MariaDB commits together what
/// comes together.
const TRANSACTIONS: usize = 4;
/// How long a submit may take, as long as its request: what is not committed then is rolled back.
const LIMIT: Duration = Duration::from_secs(5);

type Answer = Result<Submitted, SubmitError>;

/// `None` for what is to be submitted by itself.
type Gathered = Batcher<Submission, Option<Answer>>;

/// Submits for all requests of this process.
#[derive(Debug)]
pub struct Submitter {
    store: Store,
    relay: Arc<Notify>,
    /// No Source waits for the locked rows of another.
    gathered: Mutex<HashMap<SourceId, Arc<Gathered>>>,
}

impl Submitter {
    /// Submits to this store, and wakes this relay after each commit.
    pub fn new(store: Store, relay: Arc<Notify>) -> Self {
        Self { store, relay, gathered: Mutex::default() }
    }

    /// As [`Store::submit`], within some seconds. Dropped, it goes on: others may go along with it.
    pub async fn submit(self: &Arc<Self>, source: Source, submission: Submission) -> Answer {
        let submitter = Arc::clone(self);
        let submit = async move {
            let joined = timeout(LIMIT, submitter.join(&source, submission)).await;
            let answer = joined.unwrap_or_else(|_| Err(unknown()));
            if answer.is_ok() {
                submitter.relay.notify_one();
            }
            answer
        };
        #[allow(
            clippy::disallowed_methods,
            reason = "it ends by itself, and nobody was told of what is cut off"
        )]
        let submit = tokio::spawn(submit.in_current_span());
        match submit.await {
            Ok(answer) => answer,
            Err(error) => {
                error.try_into_panic().map_or_else(|_| Err(unknown()), |panic| resume_unwind(panic))
            }
        }
    }

    async fn join(&self, source: &Source, submission: Submission) -> Answer {
        let gathered = self.gathered_of(source.id);
        match gathered.join(submission.clone(), |batch| self.submit_all(source, batch)).await {
            Ok(Some(answer)) => answer,
            Ok(None) | Err(Unjoined::NotDone) => self.store.submit(source, &submission).await,
            Err(Unjoined::Unknown) => Err(unknown()),
        }
    }

    /// There are few Sources, and what is kept for one is small.
    fn gathered_of(&self, source: SourceId) -> Arc<Gathered> {
        let mut gathered = self.gathered.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(gathered.entry(source).or_insert_with(|| Arc::new(Batcher::new(TRANSACTIONS))))
    }

    async fn submit_all(&self, source: &Source, submissions: Vec<Submission>) -> Vec<Option<Answer>> {
        if let [only] = &submissions[..] {
            return vec![Some(self.store.submit(source, only).await)];
        }
        let mut answers: Vec<Option<Answer>> = submissions.iter().map(|_| None).collect();
        let (places, batch) = fitting(submissions);
        match self.store.submit_together(source, &batch).await {
            Ok(Some(submitted)) => {
                for (place, answer) in places.into_iter().zip(submitted) {
                    answers[place] = Some(answer);
                }
            }
            Ok(None) => {}
            Err(error) => {
                let (submits, error) = (batch.len(), &error as &dyn std::error::Error);
                tracing::warn!(submits, error, "nobody knows what became of submits that went together");
                for place in places {
                    answers[place] = Some(Err(unknown()));
                }
            }
        }
        answers
    }
}

/// What a client is told when nobody knows whether it was submitted.
fn unknown() -> SubmitError {
    store::Error::unanswered().into()
}

/// Those that can go together, with their places among all: no two of one user or one target uid.
fn fitting(submissions: Vec<Submission>) -> (Vec<usize>, Vec<Submission>) {
    let (mut users, mut target_uids) = (HashSet::new(), HashSet::new());
    let fits = |(_, submission): &(usize, Submission)| {
        let uid = submission.user.target_uid.as_ref().map(|uid| uid.to_lowercase());
        if users.contains(&submission.source_uid) || uid.as_ref().is_some_and(|uid| target_uids.contains(uid))
        {
            return false;
        }
        users.insert(submission.source_uid.clone());
        target_uids.extend(uid);
        true
    };
    submissions.into_iter().enumerate().filter(fits).unzip()
}

#[cfg(test)]
mod tests {
    use dmf_shared::{domain::migration::Phase, store::UserFields};

    use super::*;

    #[test]
    fn no_two_of_one_user_or_one_target_uid_go_together() {
        let submission = |source_uid: &str, target_uid: Option<&str>| Submission {
            source_uid: source_uid.to_owned(),
            user: UserFields { target_uid: target_uid.map(str::to_owned), ..UserFields::default() },
            phase: Phase::PreSync,
            priority: false,
            not_before: None,
            force: false,
            trace: None,
            noted: None,
        };
        let all = vec![
            submission("a", Some("é")),
            submission("a", None),
            submission("A", None),
            submission("b", Some("É")),
            submission("c", Some("c")),
        ];
        let (places, batch) = fitting(all);
        assert_eq!(places, [0, 2, 4]);
        assert_eq!(batch.iter().map(|one| &one.source_uid[..]).collect::<Vec<_>>(), ["a", "A", "c"]);
    }
}
