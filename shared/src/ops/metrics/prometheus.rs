//! Prometheus' text format 0.0.4: <https://prometheus.io/docs/instrumenting/exposition_formats/>.

use std::{collections::BTreeMap, fmt::Write as _};

use super::{Family, Kind, Measure, Metrics, Series, family::base_unit};

impl Metrics {
    /// All metrics as Prometheus reads them.
    pub fn prometheus(&self) -> String {
        let mut text = String::with_capacity(16 * 1024);
        for (name, family) in self.families() {
            write_family(&mut text, &prometheus_name(&name, &family), &family);
        }
        text
    }
}

/// `http.server.requests` in seconds becomes `http_server_requests_seconds`; counters end in `_total`.
fn prometheus_name(name: &str, family: &Family) -> String {
    let legal = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    let mut result: String = name.chars().map(legal).collect();
    if let Some(unit) = base_unit(family.unit)
        && !result.ends_with(unit)
    {
        result.push('_');
        result.push_str(unit);
    }
    if family.kind == Kind::Counter && !result.ends_with("_total") {
        result.push_str("_total");
    }
    result
}

fn write_family(text: &mut String, name: &str, family: &Family) {
    let kind = match family.kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Distribution => "histogram",
    };
    let help = family.description.replace('\\', "\\\\").replace('\n', "\\n");
    // Writing into a String never fails.
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    for series in &family.series {
        write_series(text, name, series);
    }
    if family.kind == Kind::Distribution {
        let _ = writeln!(
            text,
            "# HELP {name}_max {help} The highest of the last minutes.\n# TYPE {name}_max gauge"
        );
        for Series { labels, measure } in &family.series {
            if let Measure::Distribution(seen) = measure {
                write_sample(text, &format!("{name}_max"), labels, None, seen.max);
            }
        }
    }
}

fn write_series(text: &mut String, name: &str, series: &Series) {
    match &series.measure {
        Measure::Value(value) => write_sample(text, name, &series.labels, None, *value),
        Measure::Distribution(seen) => {
            #[allow(clippy::cast_precision_loss, reason = "Prometheus counts in floating point")]
            let count = |n: u64| n as f64;
            for (bound, below) in &seen.buckets {
                let bound = if bound.is_finite() { bound.to_string() } else { "+Inf".to_owned() };
                write_sample(text, &format!("{name}_bucket"), &series.labels, Some(&bound), count(*below));
            }
            write_sample(text, &format!("{name}_sum"), &series.labels, None, seen.sum);
            write_sample(text, &format!("{name}_count"), &series.labels, None, count(seen.count));
        }
    }
}

fn write_sample(
    text: &mut String,
    name: &str,
    labels: &BTreeMap<String, String>,
    bound: Option<&str>,
    value: f64,
) {
    let labels = labels.iter().map(|(name, value)| (name.replace(['.', '-'], "_"), value.as_str()));
    let labels = labels.chain(bound.map(|bound| ("le".to_owned(), bound)));
    let labels: Vec<_> = labels.map(|(name, value)| format!("{name}=\"{}\"", escape(value))).collect();
    text.push_str(name);
    if !labels.is_empty() {
        let _ = write!(text, "{{{}}}", labels.join(","));
    }
    let _ = writeln!(text, " {value}");
}

fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use metrics::Unit;

    use super::*;

    #[test]
    fn names_units_labels_and_buckets_are_prometheus_own() {
        let metrics = Metrics::default();
        metrics::with_local_recorder(&metrics, || {
            metrics::describe_histogram!("test.requests", Unit::Seconds, "Requests.");
            metrics::describe_counter!("test.moved", Unit::Bytes, "Moved\nbytes.");
            metrics::histogram!("test.requests", "uri" => "/a\"\\\n").record(0.2);
            metrics::counter!("test.moved").increment(7);
        });
        let text = metrics.prometheus();
        for line in [
            "# HELP test_moved_bytes_total Moved\\nbytes.",
            "# TYPE test_moved_bytes_total counter",
            "test_moved_bytes_total 7",
            "# TYPE test_requests_seconds histogram",
            "test_requests_seconds_bucket{uri=\"/a\\\"\\\\\\n\",le=\"0.1\"} 0",
            "test_requests_seconds_bucket{uri=\"/a\\\"\\\\\\n\",le=\"+Inf\"} 1",
            "test_requests_seconds_sum{uri=\"/a\\\"\\\\\\n\"} 0.2",
            "test_requests_seconds_count{uri=\"/a\\\"\\\\\\n\"} 1",
            "test_requests_seconds_max{uri=\"/a\\\"\\\\\\n\"} 0.2",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
        }
    }
}
