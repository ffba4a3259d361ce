//! Rates, and the middle of several with their spread.

use std::fmt;

/// Values of several rounds.
#[derive(Debug, Default, Clone)]
pub(crate) struct Samples(Vec<f64>);

impl Samples {
    pub(crate) fn add(&mut self, value: f64) {
        self.0.push(value);
    }

    /// The middle one; of an even number, halfway between the two in the middle.
    pub(crate) fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let (Some(lower), Some(upper)) =
            (sorted.get(sorted.len().saturating_sub(1) / 2), sorted.get(sorted.len() / 2))
        else {
            return 0.0;
        };
        f64::midpoint(*lower, *upper)
    }

    /// All of them, divided by their number.
    #[allow(clippy::cast_precision_loss, reason = "exact below 2^53")]
    pub(crate) fn mean(&self) -> f64 {
        self.0.iter().sum::<f64>() / self.0.len() as f64
    }

    /// The least and the most.
    pub(crate) fn spread(&self) -> (f64, f64) {
        (self.least(), self.most())
    }

    /// Whether nothing was added yet.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn least(&self) -> f64 {
        self.0.iter().copied().fold(f64::INFINITY, f64::min)
    }

    pub(crate) fn most(&self) -> f64 {
        self.0.iter().copied().fold(0.0, f64::max)
    }

    /// Median and spread, with so many digits behind the point; one value has no spread.
    pub(crate) fn show(&self, digits: usize) -> String {
        if let [only] = self.0[..] {
            return format!("{only:.digits$}");
        }
        format!("{:.digits$} ({:.digits$}–{:.digits$})", self.median(), self.least(), self.most())
    }
}

impl fmt::Display for Samples {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.show(0))
    }
}

/// So many in this time.
#[allow(clippy::cast_precision_loss, reason = "exact below 2^53")]
pub(crate) fn per_second(count: u64, took: std::time::Duration) -> f64 {
    count as f64 / took.as_secs_f64()
}
