//! The export of spans: in a thread of its own, from a bounded queue, so that a receiver that is slow or away costs
//! the work nothing. What does not fit is dropped, and counted.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use opentelemetry::KeyValue;
use opentelemetry_otlp::{SpanExporter as OtlpExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{Sampler, SdkTracerProvider, SpanData, SpanExporter},
};

use super::TraceSettings;

/// How long the last spans may take to go out at the end of the process.
const FLUSH_LIMIT: Duration = Duration::from_secs(2);

/// Why spans can't be exported.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The client for the receiver.
    #[error("the HTTP client for tracing.otlp.endpoint can't be made")]
    Client(#[from] reqwest::Error),
    /// The exporter.
    #[error("the exporter for tracing.otlp.endpoint can't be made")]
    Exporter(#[from] opentelemetry_otlp::ExporterBuildError),
}

/// The export of this process's spans, until it is dropped.
#[derive(Debug)]
pub struct TraceExport(Option<SdkTracerProvider>);

impl TraceExport {
    /// Exports the spans of this process from now on, as those of the service `name` with these further properties
    /// of OpenTelemetry's resource. Nothing without settings. Not to be called from within a runtime: the client
    /// blocks.
    pub fn install(
        settings: Option<&TraceSettings>,
        name: &'static str,
        properties: &[(&'static str, String)],
    ) -> Result<Self, Error> {
        let Some(settings) = settings else { return Ok(Self(None)) };
        let client = reqwest::blocking::Client::builder()
            .timeout(settings.timeout)
            .connect_timeout(settings.timeout)
            .build()?;
        let exporter = OtlpExporter::builder()
            .with_http()
            .with_http_client(client)
            .with_endpoint(&settings.endpoint)
            .with_timeout(settings.timeout)
            .build()?;
        let properties = properties.iter().map(|(key, value)| KeyValue::new(*key, value.clone()));
        let resource = Resource::builder_empty().with_service_name(name).with_attributes(properties);
        let provider = SdkTracerProvider::builder()
            .with_resource(resource.build())
            .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(settings.sampling))))
            .with_batch_exporter(Watched { exporter, is_failing: AtomicBool::new(false) })
            .build();
        opentelemetry::global::set_tracer_provider(provider.clone());
        tracing::info!(endpoint = settings.endpoint, sampling = settings.sampling, "traces are exported");
        Ok(Self(Some(provider)))
    }
}

impl Drop for TraceExport {
    fn drop(&mut self) {
        if let Some(provider) = &self.0
            && let Err(error) = provider.shutdown_with_timeout(FLUSH_LIMIT)
        {
            tracing::warn!(error = &error as &dyn std::error::Error, "the last spans were not exported");
        }
    }
}

/// An exporter that says once that the receiver is away, and once that it is back.
#[derive(Debug)]
struct Watched {
    exporter: OtlpExporter,
    is_failing: AtomicBool,
}

impl SpanExporter for Watched {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len() as u64;
        match self.exporter.export(batch).await {
            Ok(()) => {
                metrics::counter!("dmf.traces.spans", "result" => "exported").increment(spans);
                if self.is_failing.swap(false, Ordering::Relaxed) {
                    tracing::info!("traces are exported again");
                }
            }
            Err(error) => {
                metrics::counter!("dmf.traces.spans", "result" => "lost").increment(spans);
                if !self.is_failing.swap(true, Ordering::Relaxed) {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "traces can't be exported; until they can, spans are lost"
                    );
                }
            }
        }
        // It is told above.
        Ok(())
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}
