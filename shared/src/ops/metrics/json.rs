//! The original's JSON: the list of names, and one metric with its measurements and tags (§10.1 and §10.2 of
//! its manual).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{Family, Kind, Measure, Metrics, Series, family::base_unit};

/// Which series of a metric are asked for: `tag=name:value`, repeatable; all of them must match.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query(Vec<(String, String)>);

/// A tag that is no `name:value`.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("tag: {0:?} must be of the form name:value")]
pub struct InvalidTag(String);

impl Query {
    /// Reads the tags of a request.
    ///
    /// # Errors
    /// One has no colon, or nothing before it.
    pub fn parse<'t>(tags: impl IntoIterator<Item = &'t str>) -> Result<Self, InvalidTag> {
        let pairs = tags.into_iter().map(|tag| match tag.split_once(':') {
            Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
            _ => Err(InvalidTag(tag.to_owned())),
        });
        pairs.collect::<Result<_, _>>().map(Self)
    }

    fn matches(&self, series: &Series) -> bool {
        self.0.iter().all(|(name, value)| series.labels.get(name) == Some(value))
    }
}

impl Metrics {
    /// `{"names": […]}`, sorted.
    pub fn names(&self) -> Value {
        json!({ "names": self.families().into_keys().collect::<Vec<_>>() })
    }

    /// One metric: measurements over all series that match, and the tags that tell them apart. `None` when
    /// there is no such name, or nothing matches.
    pub fn metric(&self, name: &str, query: &Query) -> Option<Value> {
        let family = self.families().remove(name)?;
        let series: Vec<_> = family.series.iter().filter(|series| query.matches(series)).collect();
        if series.is_empty() {
            return None;
        }
        Some(json!({
            "name": name,
            "measurements": measurements(&family, &series),
            "availableTags": tags(&series, query),
            "description": family.description,
            "baseUnit": base_unit(family.unit),
        }))
    }
}

/// Maxima merge by maximum, all else sums.
fn measurements(family: &Family, series: &[&Series]) -> Vec<Value> {
    let measurement = |statistic: &str, value: f64| json!({ "statistic": statistic, "value": value });
    let value = |series: &&Series| match series.measure {
        Measure::Value(value) => value,
        Measure::Distribution(_) => 0.0,
    };
    match family.kind {
        Kind::Counter => vec![measurement("COUNT", series.iter().map(value).sum())],
        Kind::Gauge => vec![measurement("VALUE", series.iter().map(value).sum())],
        Kind::Distribution => {
            let (mut count, mut sum, mut max) = (0_u64, 0.0, 0.0_f64);
            for series in series {
                if let Measure::Distribution(seen) = &series.measure {
                    count += seen.count;
                    sum += seen.sum;
                    max = max.max(seen.max);
                }
            }
            let total = if base_unit(family.unit) == Some("seconds") { "TOTAL_TIME" } else { "TOTAL" };
            #[allow(clippy::cast_precision_loss, reason = "JSON counts in floating point")]
            let count = count as f64;
            vec![measurement("COUNT", count), measurement(total, sum), measurement("MAX", max)]
        }
    }
}

/// Tags that were asked for tell nothing more.
fn tags(series: &[&Series], query: &Query) -> Vec<Value> {
    let mut tags = BTreeMap::<&str, BTreeSet<&str>>::new();
    for series in series {
        for (name, value) in &series.labels {
            if query.0.iter().all(|(asked, _)| asked != name) {
                tags.entry(name).or_default().insert(value);
            }
        }
    }
    tags.into_iter().map(|(tag, values)| json!({ "tag": tag, "values": values })).collect()
}

#[cfg(test)]
mod tests {
    use metrics::Unit;

    use super::*;

    fn metrics() -> Metrics {
        let metrics = Metrics::default();
        metrics::with_local_recorder(&metrics, || {
            metrics::describe_histogram!("test.requests", Unit::Seconds, "Requests.");
            for (uri, status, seconds) in [("/a", "200", 0.5), ("/a", "404", 2.0), ("/b:c", "200", 1.0)] {
                metrics::histogram!("test.requests", "uri" => uri, "status" => status).record(seconds);
            }
        });
        metrics
    }

    #[test]
    fn a_metric_merges_its_series() {
        let all = metrics().metric("test.requests", &Query::default()).unwrap();
        assert_eq!(
            all,
            json!({
                "name": "test.requests",
                "measurements": [
                    {"statistic": "COUNT", "value": 3.0},
                    {"statistic": "TOTAL_TIME", "value": 3.5},
                    {"statistic": "MAX", "value": 2.0},
                ],
                "availableTags": [
                    {"tag": "status", "values": ["200", "404"]},
                    {"tag": "uri", "values": ["/a", "/b:c"]},
                ],
                "description": "Requests.",
                "baseUnit": "seconds",
            })
        );
    }

    #[test]
    fn tags_choose_series() {
        let query = Query::parse(["uri:/b:c", "status:200"]).unwrap();
        let one = metrics().metric("test.requests", &query).unwrap();
        assert_eq!(one["measurements"][0]["value"], 1.0);
        assert_eq!(one["availableTags"], json!([]));
        assert_eq!(metrics().metric("test.requests", &Query::parse(["uri:/x"]).unwrap()), None);
        assert_eq!(metrics().metric("test.nothing", &Query::default()), None);
        assert_eq!(Query::parse(["uri"]), Err(InvalidTag("uri".to_owned())));
        assert!(Query::parse([":x"]).is_err());
    }

    #[test]
    fn names_are_sorted() {
        let names = metrics().names();
        let names: Vec<_> = names["names"].as_array().unwrap().iter().map(|n| n.as_str().unwrap()).collect();
        assert!(names.is_sorted() && names.contains(&"test.requests") && names.contains(&"process.uptime"));
    }
}
