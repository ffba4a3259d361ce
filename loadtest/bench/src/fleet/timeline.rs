//! Times at which something was in use.

use std::time::Duration;

/// From one moment to another, both counted from the beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Span {
    pub(super) from: Duration,
    pub(super) to: Duration,
}

/// From the first beginning to the last end.
pub(super) fn makespan(spans: &[Span]) -> Duration {
    let first = spans.iter().map(|span| span.from).min().unwrap_or_default();
    spans.iter().map(|span| span.to).max().unwrap_or_default().saturating_sub(first)
}

/// The most that there were at any moment. What ends makes room for what begins then.
pub(super) fn most_at_once(spans: impl Iterator<Item = Span>) -> u32 {
    let mut changes: Vec<(Duration, bool)> =
        spans.flat_map(|span| [(span.from, true), (span.to, false)]).collect();
    changes.sort_unstable();
    let (mut now, mut most) = (0_u32, 0);
    for (_, begins) in changes {
        now = if begins { now + 1 } else { now.saturating_sub(1) };
        most = most.max(now);
    }
    most
}

/// How many there were on average in each of so many slices from zero to `end`, each at its middle.
pub(super) fn in_use(spans: &[Span], end: Duration, slices: u32) -> Vec<(f64, f64)> {
    let width = end.as_secs_f64() / f64::from(slices);
    let slice = |n: u32| (f64::from(n) * width, f64::from(n + 1) * width);
    let mut sums = vec![0.0; slices as usize];
    for span in spans {
        let (from, to) = (span.from.as_secs_f64(), span.to.as_secs_f64());
        let touched =
            (0..slices).zip(&mut sums).skip(whole(from / width)).take(whole((to - from) / width) + 2);
        for (n, sum) in touched {
            let (begins, ends) = slice(n);
            *sum += (to.min(ends) - from.max(begins)).max(0.0);
        }
    }
    (0..slices).zip(sums).map(|(n, sum)| (slice(n).0 + width / 2.0, sum / width)).collect()
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the number of a slice")]
fn whole(slices: f64) -> usize {
    slices.max(0.0) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(from: u64, to: u64) -> Span {
        Span { from: Duration::from_secs(from), to: Duration::from_secs(to) }
    }

    #[test]
    fn what_ends_makes_room_for_what_begins() {
        let spans = [span(0, 2), span(2, 4), span(1, 3), span(3, 9)];
        assert_eq!(most_at_once(spans.into_iter()), 2);
        assert_eq!(most_at_once([].into_iter()), 0);
        assert_eq!(makespan(&spans), Duration::from_secs(9));
        assert_eq!(makespan(&[span(5, 6), span(7, 9)]), Duration::from_secs(4));
    }

    #[test]
    fn slices_hold_the_parts_of_the_spans_in_them() {
        let spans = [span(0, 10), span(5, 6), span(9, 10)];
        let used = in_use(&spans, Duration::from_secs(10), 5);
        let rounded: Vec<(f64, f64)> = used.iter().map(|(x, y)| (*x, (y * 100.0).round() / 100.0)).collect();
        assert_eq!(rounded, [(1.0, 1.0), (3.0, 1.0), (5.0, 1.5), (7.0, 1.0), (9.0, 1.5)]);
    }
}
