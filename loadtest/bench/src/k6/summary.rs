//! What k6 says at the end of a scenario.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use serde_json::{Map, Value};

/// The figures of one run.
#[derive(Debug)]
pub(super) struct Summary {
    metrics: Map<String, Value>,
    secs: f64,
}

/// Times of one kind of request, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Times {
    pub(super) count: f64,
    pub(super) median: f64,
    pub(super) p95: f64,
    pub(super) p99: f64,
    pub(super) max: f64,
}

/// A limit, and whether it held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Threshold {
    /// Metric and expression.
    pub(super) name: String,
    pub(super) held: bool,
}

impl Summary {
    /// From what the scripts' `handleSummary` writes.
    pub(super) fn read(text: &str) -> Result<Self> {
        let mut read: Value = serde_json::from_str(text)?;
        let secs =
            read["state"]["testRunDurationMs"].as_f64().context("it does not say how long it took")? / 1000.0;
        match read["metrics"].take() {
            Value::Object(metrics) => Ok(Self { metrics, secs }),
            other => anyhow::bail!("it has no metrics: {other}"),
        }
    }

    /// Seconds of the whole run.
    pub(super) fn secs(&self) -> f64 {
        self.secs
    }

    /// How often a counter was raised; zero where nobody did.
    pub(super) fn count(&self, metric: &str) -> f64 {
        self.metrics.get(metric).and_then(|metric| metric["values"]["count"].as_f64()).unwrap_or_default()
    }

    /// Requests that were answered otherwise than wanted, or not at all.
    pub(super) fn failed(&self) -> f64 {
        // Of a rate, those that are true "pass".
        self.metrics
            .get("http_req_failed")
            .and_then(|metric| metric["values"]["passes"].as_f64())
            .unwrap_or_default()
    }

    /// Times of the requests of each name.
    pub(super) fn times(&self) -> Result<BTreeMap<String, Times>> {
        let mut all = BTreeMap::new();
        for (metric, value) in &self.metrics {
            let name = metric.strip_prefix("http_req_duration{name:").and_then(|rest| rest.strip_suffix('}'));
            let Some(name) = name else { continue };
            let of = |stat: &str| {
                value["values"][stat].as_f64().with_context(|| format!("{metric} has no {stat}: {value}"))
            };
            let (count, median) = (of("count")?, of("med")?);
            let times = Times { count, median, p95: of("p(95)")?, p99: of("p(99)")?, max: of("max")? };
            all.insert(name.to_owned(), times);
        }
        Ok(all)
    }

    /// All limits.
    pub(super) fn thresholds(&self) -> Vec<Threshold> {
        let of_metric = |(metric, value): (&String, &Value)| -> Vec<Threshold> {
            let limits = value["thresholds"].as_object().into_iter().flatten();
            limits
                .map(|(limit, outcome)| Threshold {
                    name: format!("{metric}: {limit}"),
                    held: outcome["ok"] == true,
                })
                .collect()
        };
        let mut all: Vec<Threshold> = self.metrics.iter().flat_map(of_metric).collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn summary() -> Summary {
        let text = json!({
            "state": { "testRunDurationMs": 6033.0 },
            "metrics": {
                "http_req_duration": { "values": { "med": 1.0 } },
                "http_req_duration{name:submit}": {
                    "values": { "count": 46, "min": 0.6, "med": 1.6, "p(95)": 20.2, "p(99)": 38.6, "max": 45.2 },
                    "thresholds": { "p(95)<10": { "ok": false } },
                },
                "http_req_failed": {
                    "values": { "rate": 0.01, "passes": 3, "fails": 261 },
                    "thresholds": { "rate==0": { "ok": false } },
                },
                "users_refused": { "values": { "count": 0 }, "thresholds": { "count==0": { "ok": true } } },
                "users_created": { "values": { "count": 3046, "rate": 504.9 } },
            },
        });
        Summary::read(&text.to_string()).unwrap()
    }

    #[test]
    fn figures_are_read() {
        let summary = summary();
        assert_eq!((summary.secs(), summary.failed()), (6.033, 3.0));
        assert_eq!((summary.count("users_created"), summary.count("dropped_iterations")), (3046.0, 0.0));
        let submit = Times { count: 46.0, median: 1.6, p95: 20.2, p99: 38.6, max: 45.2 };
        assert_eq!(summary.times().unwrap(), BTreeMap::from([("submit".to_owned(), submit)]));
    }

    #[test]
    fn every_limit_is_told() {
        let told: Vec<(String, bool)> =
            summary().thresholds().into_iter().map(|limit| (limit.name, limit.held)).collect();
        let expected = [
            ("http_req_duration{name:submit}: p(95)<10", false),
            ("http_req_failed: rate==0", false),
            ("users_refused: count==0", true),
        ];
        assert_eq!(told, expected.map(|(name, held)| (name.to_owned(), held)));
    }

    #[test]
    fn what_is_missing_is_an_error() {
        assert!(Summary::read("{}").is_err());
        assert!(Summary::read(r#"{"state": {"testRunDurationMs": 1}}"#).is_err());
        let text = json!({
            "state": { "testRunDurationMs": 1 },
            "metrics": { "http_req_duration{name:x}": { "values": { "med": 1.0 } } },
        });
        assert!(Summary::read(&text.to_string()).unwrap().times().is_err());
    }
}
