//! Single submits. Those that come at the same time go together: one transaction, and one commit, for all of them.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use dmf_shared::{
    batcher::{Batcher, Unjoined},
    domain::ids::SourceId,
    store::{self, Source, Store, Submission, SubmitError, Submitted},
};
use futures::future::join_all;
use tracing::Instrument as _;

/// Transactions at a time: a few submits go faster beside each other, since MariaDB commits together what comes
/// together.
const TRANSACTIONS: usize = 4;

type Answer = Result<Submitted, SubmitError>;

/// Submits for all requests of this process.
#[derive(Debug)]
pub struct Submitter {
    store: Store,
    /// `None` for what is to be submitted by itself.
    gathered: Batcher<Order, Option<Answer>>,
}

#[derive(Debug, Clone)]
struct Order {
    source: Source,
    submission: Submission,
}

impl Submitter {
    /// Submits to this store.
    pub fn new(store: Store) -> Self {
        Self { store, gathered: Batcher::new(TRANSACTIONS) }
    }

    /// As [`Store::submit`]; dropped, it goes on: others may go along with it.
    pub async fn submit(self: &Arc<Self>, source: Source, submission: Submission) -> Answer {
        let submitter = Arc::clone(self);
        let submit = async move { submitter.join(Order { source, submission }).await };
        #[allow(
            clippy::disallowed_methods,
            reason = "the request waits for it, and a shutdown for the request"
        )]
        let submit = tokio::spawn(submit.in_current_span());
        submit.await.unwrap_or_else(|_| Err(unknown()))
    }

    async fn join(&self, order: Order) -> Answer {
        let joined = self.gathered.join(order.clone(), |orders| self.submit_all(orders)).await;
        match joined {
            Ok(Some(answer)) => answer,
            Ok(None) | Err(Unjoined::NotDone) => self.store.submit(&order.source, &order.submission).await,
            Err(Unjoined::Unknown) => Err(unknown()),
        }
    }

    async fn submit_all(&self, orders: Vec<Order>) -> Vec<Option<Answer>> {
        let mut answers: Vec<Option<Answer>> = orders.iter().map(|_| None).collect();
        let by_source = fitting(orders).into_values();
        let submitted = by_source
            .map(async |(source, places, batch)| (places, self.submit_of_source(&source, batch).await));
        for (places, submitted) in join_all(submitted).await {
            places.into_iter().zip(submitted).for_each(|(place, answer)| answers[place] = answer);
        }
        answers
    }

    async fn submit_of_source(&self, source: &Source, batch: Vec<Submission>) -> Vec<Option<Answer>> {
        if let [only] = &batch[..] {
            return vec![Some(self.store.submit(source, only).await)];
        }
        match self.store.submit_together(source, &batch).await {
            Ok(Some(answers)) => answers.into_iter().map(Some).collect(),
            Ok(None) => batch.iter().map(|_| None).collect(),
            Err(error) => {
                let (submits, error) = (batch.len(), &error as &dyn std::error::Error);
                tracing::warn!(submits, error, "nobody knows what became of submits that went together");
                batch.iter().map(|_| Some(Err(unknown()))).collect()
            }
        }
    }
}

/// What a client is told when nobody knows whether it was submitted.
fn unknown() -> SubmitError {
    store::Error::unanswered().into()
}

/// Those that can go together by their Source, with their places among all: no two of one user or one target uid,
/// and none that may free a target uid for another.
fn fitting(orders: Vec<Order>) -> BTreeMap<SourceId, (Source, Vec<usize>, Vec<Submission>)> {
    let (mut users, mut target_uids) = (HashSet::new(), HashSet::new());
    let mut by_source = BTreeMap::new();
    for (place, Order { source, submission }) in orders.into_iter().enumerate() {
        let uid = submission.user.target_uid.as_ref().map(|uid| uid.to_lowercase());
        let frees = submission.force && (uid.is_some() || submission.user.target.is_some());
        let user = (source.id, submission.source_uid.clone());
        if frees || users.contains(&user) || uid.as_ref().is_some_and(|uid| target_uids.contains(uid)) {
            continue;
        }
        users.insert(user);
        target_uids.extend(uid);
        let of_source = by_source.entry(source.id).or_insert_with(|| (source, Vec::new(), Vec::new()));
        of_source.1.push(place);
        of_source.2.push(submission);
    }
    by_source
}
