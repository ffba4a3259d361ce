//! What this thread logs, as the process would write it.

use std::{
    io,
    sync::{Arc, Mutex},
};

use dmf_shared::{
    config::Environment,
    ops::{
        Telemetry,
        log_level::{LogLevel, LogLevels},
        telemetry::TelemetrySettings,
    },
};
use tracing_subscriber::{layer::SubscriberExt as _, util::SubscriberInitExt as _};

/// Log output, as it is written.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// Lines since the last call.
    pub(crate) fn take(&self) -> Vec<String> {
        let text = String::from_utf8(std::mem::take(&mut *self.0.lock().unwrap())).unwrap();
        text.lines().map(str::to_owned).collect()
    }
}

/// Writes everything that this thread logs, down to DEBUG.
pub(crate) fn log() -> (Log, tracing::subscriber::DefaultGuard) {
    let log = Log::default();
    let writer = log.clone();
    let mut settings = TelemetrySettings::new(&Environment::default());
    settings.colour = false;
    settings.levels = LogLevels::new(LogLevel::Debug);
    let (layer, _) = Telemetry::layer(settings, move || writer.clone());
    (log, tracing_subscriber::registry().with(vec![layer]).set_default())
}
