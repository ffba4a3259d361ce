//! The registry, and how the `metrics` facade reaches it.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use metrics_util::registry::{Registry, Storage};

use super::{
    Family, Kind, Measure, Series,
    distribution::{Distribution, Shared},
    process,
};

/// Most series of one name. What comes after is not counted: labels are meant to be few, and a mistake
/// must not eat the memory.
const MAX_SERIES: usize = 5_000;

/// Where values are kept.
#[derive(Debug)]
struct Cells;

impl<K> Storage<K> for Cells {
    type Counter = Arc<AtomicU64>;
    type Gauge = Arc<AtomicU64>;
    type Histogram = Shared;

    fn counter(&self, _: &K) -> Self::Counter {
        Arc::default()
    }

    fn gauge(&self, _: &K) -> Self::Gauge {
        Arc::default()
    }

    fn histogram(&self, _: &K) -> Self::Histogram {
        Arc::new(Distribution::new())
    }
}

#[derive(Debug, Clone)]
struct Meaning {
    unit: Option<Unit>,
    description: String,
}

struct Inner {
    registry: Registry<Key, Cells>,
    meanings: Mutex<HashMap<String, Meaning>>,
    /// Number of series of each name.
    series: Mutex<HashMap<String, usize>>,
}

/// The metrics of this process. Clones are the same metrics.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

/// Somebody else records the metrics of this process already.
#[derive(Debug, thiserror::Error)]
#[error("metrics are set up already")]
pub struct Installed;

impl Default for Metrics {
    fn default() -> Self {
        Self(Arc::new(Inner {
            registry: Registry::new(Cells),
            meanings: Mutex::default(),
            series: Mutex::default(),
        }))
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Metrics {
    /// Records what this process counts from now on.
    ///
    /// # Errors
    /// Somebody does so already.
    pub fn install() -> Result<Self, Installed> {
        let metrics = Self::default();
        metrics::set_global_recorder(metrics.clone()).map_err(|_| Installed)?;
        super::describe();
        metrics::gauge!("dmf.build.info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
        Ok(metrics)
    }

    /// Everything as of now, by name; those of the process itself are read now.
    pub fn families(&self) -> BTreeMap<String, Family> {
        let mut families = BTreeMap::new();
        let registry = &self.0.registry;
        for (key, cell) in registry.get_counter_handles() {
            #[allow(clippy::cast_precision_loss, reason = "Prometheus counts in floating point")]
            let value = cell.load(Ordering::Relaxed) as f64;
            self.add(&mut families, &key, Kind::Counter, Measure::Value(value));
        }
        for (key, cell) in registry.get_gauge_handles() {
            let value = f64::from_bits(cell.load(Ordering::Relaxed));
            self.add(&mut families, &key, Kind::Gauge, Measure::Value(value));
        }
        for (key, cell) in registry.get_histogram_handles() {
            self.add(&mut families, &key, Kind::Distribution, Measure::Distribution(cell.snapshot()));
        }
        process::add(&mut families);
        for family in families.values_mut() {
            family.series.sort_by(|a, b| a.labels.cmp(&b.labels));
        }
        families
    }

    fn add(&self, families: &mut BTreeMap<String, Family>, key: &Key, kind: Kind, measure: Measure) {
        let labels = key.labels().map(|label| (label.key().to_owned(), label.value().to_owned())).collect();
        let family = families.entry(key.name().to_owned()).or_insert_with(|| {
            let meanings = self.0.meanings.lock().unwrap_or_else(PoisonError::into_inner);
            let meaning = meanings.get(key.name());
            Family {
                kind,
                description: meaning.map(|meaning| meaning.description.clone()).unwrap_or_default(),
                unit: meaning.and_then(|meaning| meaning.unit),
                series: Vec::new(),
            }
        });
        // A name that is used for two kinds is a mistake; the first one stays readable.
        if family.kind == kind {
            family.series.push(Series { labels, measure });
        }
    }

    /// Takes a gauge's series away whose subject is gone.
    pub fn forget_gauge(&self, key: &Key) {
        if self.0.registry.delete_gauge(key) {
            let mut series = self.0.series.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(count) = series.get_mut(key.name()) {
                *count = count.saturating_sub(1);
            }
        }
    }

    /// Whether another series of this name may be made.
    fn admits(&self, key: &Key, known: bool) -> bool {
        if known {
            return true;
        }
        let mut series = self.0.series.lock().unwrap_or_else(PoisonError::into_inner);
        let count = series.entry(key.name().to_owned()).or_default();
        if *count >= MAX_SERIES {
            return false;
        }
        *count += 1;
        true
    }

    fn note(&self, name: &KeyName, unit: Option<Unit>, description: &SharedString) {
        let meaning = Meaning { unit, description: description.to_string() };
        let mut meanings = self.0.meanings.lock().unwrap_or_else(PoisonError::into_inner);
        meanings.insert(name.as_str().to_owned(), meaning);
    }
}

impl Recorder for Metrics {
    fn describe_counter(&self, name: KeyName, unit: Option<Unit>, description: SharedString) {
        self.note(&name, unit, &description);
    }

    fn describe_gauge(&self, name: KeyName, unit: Option<Unit>, description: SharedString) {
        self.note(&name, unit, &description);
    }

    fn describe_histogram(&self, name: KeyName, unit: Option<Unit>, description: SharedString) {
        self.note(&name, unit, &description);
    }

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        let registry = &self.0.registry;
        if !self.admits(key, registry.get_counter(key).is_some()) {
            return Counter::noop();
        }
        registry.get_or_create_counter(key, |cell| Counter::from_arc(cell.clone()))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        let registry = &self.0.registry;
        if !self.admits(key, registry.get_gauge(key).is_some()) {
            return Gauge::noop();
        }
        registry.get_or_create_gauge(key, |cell| Gauge::from_arc(cell.clone()))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        let registry = &self.0.registry;
        if !self.admits(key, registry.get_histogram(key).is_some()) {
            return Histogram::noop();
        }
        registry.get_or_create_histogram(key, |cell| Histogram::from_arc(cell.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_seen_with_its_meaning() {
        let metrics = Metrics::default();
        metrics::with_local_recorder(&metrics, || {
            metrics::describe_counter!("test.things", Unit::Count, "Things.");
            metrics::counter!("test.things", "kind" => "b").increment(2);
            metrics::counter!("test.things", "kind" => "a").increment(1);
            metrics::counter!("test.things", "kind" => "b").increment(1);
            metrics::gauge!("test.level").set(2.5);
            metrics::histogram!("test.time").record(0.3);
        });
        let families = metrics.families();
        let things = &families["test.things"];
        assert_eq!((things.kind, things.description.as_str()), (Kind::Counter, "Things."));
        let values: Vec<_> = things.series.iter().map(|s| (s.labels["kind"].as_str(), &s.measure)).collect();
        assert_eq!(values, [("a", &Measure::Value(1.0)), ("b", &Measure::Value(3.0))]);
        assert_eq!(families["test.level"].series[0].measure, Measure::Value(2.5));
        metrics.forget_gauge(&Key::from_static_name("test.level"));
        assert!(!metrics.families().contains_key("test.level"));
    }

    #[test]
    fn series_are_bounded() {
        let metrics = Metrics::default();
        metrics::with_local_recorder(&metrics, || {
            for n in 0..MAX_SERIES + 10 {
                metrics::counter!("test.many", "n" => n.to_string()).increment(1);
            }
        });
        assert_eq!(metrics.families()["test.many"].series.len(), MAX_SERIES);
    }
}
