//! `/metrics`, `/metrics/{name}` and `/prometheus`

use utoipa::{
    ToSchema,
    openapi::{RefOr, Schema},
};

use crate::api::{
    fields::{Fields, Given},
    kind::{self, Kind},
    openapi::{Answer, Doc, Tag},
};

/// What the document says of `/metrics`.
pub const LIST: Doc = Doc {
    id: "listMetrics",
    summary: "List the names of metrics",
    description: "In the order of the alphabet.",
    tag: Tag::Management,
    query: None,
    body: None,
    answers: &[Answer::json::<Metrics>(200, "The names.")],
    refuses: &[],
};

/// What the document says of `/metrics/{name}`.
pub const READ: Doc = Doc {
    id: "readMetric",
    summary: "Show a metric",
    description: "What was measured, over all series that have the given tags: maxima merge to their maximum, \
                  all else to its sum.",
    query: Some(|fields| {
        read(fields);
    }),
    answers: &[Answer::json::<Metric>(200, "The metric.")],
    ..LIST
};

/// What the document says of `/prometheus`.
pub const PROMETHEUS: Doc = Doc {
    id: "readPrometheus",
    summary: "Show all metrics to Prometheus",
    description: "The values of /metrics in Prometheus' text format 0.0.4.",
    answers: &[Answer::text(200, "All metrics.", "text/plain")
        .example(r##""# TYPE process_uptime_seconds gauge\nprocess_uptime_seconds 83.5\n""##)],
    ..LIST
};

/// The parameter as the handler reads it, which is not this process's alone.
fn read(fields: &mut Fields) -> Given<Vec<String>> {
    fields.texts_of("tag", Kind::Tags)
}

/// The names of all metrics.
#[derive(Debug, ToSchema)]
#[allow(dead_code, reason = "its fields are read by the derived schema only")]
pub struct Metrics {
    names: Vec<String>,
}

/// One metric.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "camelCase")]
#[allow(dead_code, reason = "its fields are read by the derived schema only")]
pub struct Metric {
    name: String,
    measurements: Vec<Measurement>,
    available_tags: Vec<MetricTag>,
    description: String,
    #[schema(required)]
    base_unit: Option<String>,
}

/// One value of a metric.
#[derive(Debug, ToSchema)]
#[allow(dead_code, reason = "its fields are read by the derived schema only")]
pub struct Measurement {
    #[schema(schema_with = statistic)]
    statistic: String,
    value: f64,
}

/// What tells the series of a metric apart.
#[derive(Debug, ToSchema)]
#[allow(dead_code, reason = "its fields are read by the derived schema only")]
pub struct MetricTag {
    tag: String,
    values: Vec<String>,
}

fn statistic() -> RefOr<Schema> {
    kind::one_of(&["VALUE", "COUNT", "TOTAL", "TOTAL_TIME", "MAX"], false)
}
