//! What the registry holds at one moment, in an order that does not change.

use std::collections::BTreeMap;

use metrics::Unit;

use super::distribution::Snapshot;

/// How a metric counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Is what it is now.
    Gauge,
    /// Many measurements.
    Distribution,
}

/// The value of one series.
#[derive(Debug, Clone, PartialEq)]
pub enum Measure {
    /// A counter or a gauge.
    Value(f64),
    /// A distribution.
    Distribution(Snapshot),
}

/// A value and the labels that tell it from others of the same name.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Sorted by name.
    pub labels: BTreeMap<String, String>,
    /// What it measures.
    pub measure: Measure,
}

/// All series of a name.
#[derive(Debug, Clone, PartialEq)]
pub struct Family {
    /// How it counts.
    pub kind: Kind,
    /// What it means; empty when nobody said so.
    pub description: String,
    /// The unit of its values.
    pub unit: Option<Unit>,
    /// Sorted by labels.
    pub series: Vec<Series>,
}

/// The unit as the original and Prometheus write it: `seconds`, `bytes`; `None` for plain numbers.
pub(super) fn base_unit(unit: Option<Unit>) -> Option<&'static str> {
    match unit? {
        Unit::Seconds => Some("seconds"),
        Unit::Bytes => Some("bytes"),
        _ => None,
    }
}
