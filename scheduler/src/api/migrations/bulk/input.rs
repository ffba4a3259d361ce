//! The input of a bulk submit, line by line as it comes.

use axum::body::{Body, BodyDataStream};
use futures::StreamExt as _;
use tokio::time::{Instant, timeout_at};

use super::lines::{Line, Lines};

/// What came.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// A line.
    Line(Line),
    /// Nothing more: the input has ended.
    End,
    /// No whole line in time.
    Late,
    /// The client went away, or did not keep to HTTP.
    Broken,
}

/// A body that is cut into lines. Holds no more than one chunk and one line.
pub(super) struct Input {
    lines: Lines,
    body: BodyDataStream,
    ended: bool,
}

impl Input {
    /// All of this body, with lines of CSV or plain ones.
    pub(super) fn new(body: Body, csv: bool) -> Self {
        Self { lines: Lines::new(csv), body: body.into_data_stream(), ended: false }
    }

    /// The next line that is not empty. What has come of one until then is kept; who sends byte by byte has no
    /// more time than others.
    pub(super) async fn next(&mut self, until: Instant) -> Next {
        loop {
            if let Some(line) = self.lines.next_line() {
                return Next::Line(line);
            }
            if self.ended {
                return Next::End;
            }
            match timeout_at(until, self.body.next()).await {
                Ok(Some(Ok(chunk))) => self.lines.feed(&chunk),
                Ok(Some(Err(_))) => return Next::Broken,
                Ok(None) => {
                    self.ended = true;
                    self.lines.end();
                }
                Err(_) => return Next::Late,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::stream;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_sends_byte_by_byte_has_no_more_time_than_others() {
        let slow = stream::iter(b"ab\nc".chunks(1)).then(async |byte| {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Ok::<_, std::convert::Infallible>(byte)
        });
        let mut input = Input::new(Body::from_stream(slow), false);
        let wait = |secs| Instant::now() + Duration::from_secs(secs);
        assert_eq!(input.next(wait(2)).await, Next::Late);
        let line = |number, text: &[u8]| Next::Line(Line { number, bytes: Ok(text.to_vec()) });
        assert_eq!(input.next(wait(2)).await, line(1, b"ab"));
        assert_eq!(input.next(wait(2)).await, line(2, b"c"));
        assert_eq!(input.next(wait(2)).await, Next::End);
    }
}
