//! The answers that a connection is about: how many there are, and which of them wait for the client.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::body::{Body, Bytes};
use hyper::{
    Method, Response,
    body::{Body as HttpBody, Frame, SizeHint},
    header,
};
use tokio::{sync::watch, time::Instant};

/// The answers of one connection. Clones are the same.
#[derive(Clone)]
pub(super) struct Answers {
    count: watch::Sender<usize>,
    waiting: Arc<Waiting>,
}

/// Since when the client has not taken what it was given, by answer. An answer that waits for what is still
/// to be made is not in it.
#[derive(Default)]
struct Waiting {
    next: AtomicU64,
    since: Mutex<HashMap<u64, Instant>>,
}

impl Waiting {
    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Instant>> {
        self.since.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sees what becomes of the answers; lives on when the connection does not.
#[derive(Clone)]
pub(super) struct Watch {
    count: watch::Receiver<usize>,
    waiting: Arc<Waiting>,
}

/// None so far.
pub(super) fn answers() -> (Answers, Watch) {
    let (count, counted) = watch::channel(0);
    let waiting = Arc::<Waiting>::default();
    (Answers { count, waiting: waiting.clone() }, Watch { count: counted, waiting })
}

impl Answers {
    /// Counts a request from now until its answer is written.
    pub(super) fn begin(&self) -> Running {
        self.count.send_modify(|count| *count += 1);
        Running(self.count.clone())
    }

    /// The answer to send: without a body where a `HEAD` asked, and watched until it is written.
    pub(super) fn watch(&self, asked: &Method, answer: Response<Body>, running: Running) -> Response<Body> {
        let answer = if asked == Method::HEAD { without_body(answer) } else { answer };
        let waiting = self.waiting.clone();
        let number = waiting.next.fetch_add(1, Ordering::Relaxed);
        answer.map(|body| {
            let watched = Watched { body, number, waiting, _running: running };
            if !watched.is_end_stream() {
                watched.wait_for_client();
            }
            Body::new(watched)
        })
    }
}

impl Watch {
    /// Returns once nothing is being answered, or the connection is gone; `false` in the second case.
    pub(super) async fn quiet(&mut self) -> bool {
        self.count.wait_for(|count| *count == 0).await.is_ok()
    }

    /// Returns once no request was being answered for `idle`.
    pub(super) async fn idle(&mut self, idle: Duration) {
        loop {
            if !self.quiet().await || tokio::time::timeout(idle, self.count.changed()).await.is_err() {
                return;
            }
        }
    }

    /// Returns once a part of an answer has waited for the client for `patience`. The connection does not ask
    /// such an answer for more, so that nothing in it could tell.
    pub(super) async fn stalled(&self, patience: Duration) {
        loop {
            let now = Instant::now();
            let oldest = self.waiting.lock().values().min().copied();
            match oldest.map(|since| since + patience) {
                Some(end) if end <= now => return,
                Some(end) => tokio::time::sleep_until(end).await,
                None => tokio::time::sleep(patience).await,
            }
        }
    }
}

/// What `HEAD` is answered: the length is told, where it is known, and the body is not sent. HTTP/1 would see
/// to that by itself, HTTP/2 does not.
fn without_body(mut answer: Response<Body>) -> Response<Body> {
    let length = answer.body().size_hint().exact().filter(|length| *length > 0);
    if let Some(length) = length {
        answer.headers_mut().entry(header::CONTENT_LENGTH).or_insert(length.into());
    }
    answer.map(|_| Body::empty())
}

/// Counts a request until its answer is written.
pub(super) struct Running(watch::Sender<usize>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

/// The body of an answer.
struct Watched {
    body: Body,
    number: u64,
    waiting: Arc<Waiting>,
    _running: Running,
}

impl Watched {
    /// From now on it is the client's turn. Also after the last part: HTTP/2 keeps it, with the body, until there
    /// is room for it.
    fn wait_for_client(&self) {
        self.waiting.lock().insert(self.number, Instant::now());
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.waiting.lock().remove(&self.number);
    }
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.waiting.lock().remove(&self.number);
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if frame.is_some() {
            self.wait_for_client();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heads_length(answer: Response<Body>) -> Option<String> {
        let (answers, _watch) = answers();
        let answer = answers.watch(&Method::HEAD, answer, answers.begin());
        assert!(answer.body().is_end_stream());
        answer.headers().get(header::CONTENT_LENGTH).map(|length| length.to_str().unwrap().to_owned())
    }

    #[test]
    fn head_is_told_the_length_that_get_would_have() {
        assert_eq!(heads_length(Response::new(Body::from("1234"))), Some("4".to_owned()));
        // As a router has it that dropped the body already.
        let dropped = Response::builder().header(header::CONTENT_LENGTH, 7).body(Body::empty());
        assert_eq!(heads_length(dropped.unwrap()), Some("7".to_owned()));
        assert_eq!(heads_length(Response::new(Body::empty())), None);
    }

    #[tokio::test(start_paused = true)]
    async fn only_who_takes_nothing_is_stalled() {
        let (answers, watch) = answers();
        let patience = Duration::from_mins(1);
        let is_stalled = async || tokio::time::timeout(patience * 10, watch.stalled(patience)).await.is_ok();
        assert!(!is_stalled().await);
        let (sender, receiver) = tokio::sync::mpsc::unbounded_channel::<Bytes>();
        let chunks = futures::stream::unfold(receiver, |mut receiver| async move {
            Some((Ok::<_, axum::Error>(receiver.recv().await?), receiver))
        });
        let running = answers.begin();
        let answer = answers.watch(&Method::GET, Response::new(Body::from_stream(chunks)), running);
        let mut body = Box::pin(answer.into_body());
        let mut take = || {
            let mut context = Context::from_waker(std::task::Waker::noop());
            body.as_mut().poll_frame(&mut context).is_ready()
        };
        // Nobody has asked for anything yet.
        assert!(is_stalled().await);
        // There is nothing to take.
        assert!(!take() && !is_stalled().await);
        sender.send(Bytes::from_static(b"x")).unwrap();
        assert!(take() && is_stalled().await);
        assert!(!take() && !is_stalled().await);
        sender.send(Bytes::from_static(b"x")).unwrap();
        assert!(take());
        drop(body);
        assert!(!is_stalled().await);
    }
}
