//! Names and levels of loggers, and the filter that they make up.
//!
//! A logger is named as in the original (`dmf`, `dmf.worker`, `dmf.scheduler.api`) or as a module path
//! (`dmf_worker::doveadm`); both name the same. `dmf` stands for every crate of this project.

use std::{collections::BTreeMap, fmt, str::FromStr};

use tracing::{Metadata, metadata::LevelFilter, subscriber::Interest};
use tracing_subscriber::{
    filter::Targets,
    layer::{Context, Filter},
};

/// Name of the logger above all.
pub const ROOT: &str = "ROOT";

/// The project's crates, as the word behind `dmf.`.
const CRATES: [&str; 3] = ["scheduler", "worker", "shared"];

/// A level as `/loggers` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Nothing.
    Off,
    /// Errors.
    Error,
    /// Warnings and errors.
    Warn,
    /// What an operator wants to know.
    Info,
    /// What a developer wants to know.
    Debug,
    /// Each step.
    Trace,
    /// The same as trace; the original has the word.
    All,
}

/// A word that is no level.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no log level; allowed is ALL, TRACE, DEBUG, INFO, WARN, ERROR or OFF")]
pub struct InvalidLevel;

impl LogLevel {
    /// All levels in the order in which `/loggers` lists them.
    pub const LISTED: [Self; 7] =
        [Self::All, Self::Trace, Self::Debug, Self::Info, Self::Warn, Self::Error, Self::Off];

    /// The level's name in upper case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "OFF",
            Self::Error => "ERROR",
            Self::Warn => "WARN",
            Self::Info => "INFO",
            Self::Debug => "DEBUG",
            Self::Trace => "TRACE",
            Self::All => "ALL",
        }
    }

    fn filter(self) -> LevelFilter {
        match self {
            Self::Off => LevelFilter::OFF,
            Self::Error => LevelFilter::ERROR,
            Self::Warn => LevelFilter::WARN,
            Self::Info => LevelFilter::INFO,
            Self::Debug => LevelFilter::DEBUG,
            Self::Trace | Self::All => LevelFilter::TRACE,
        }
    }
}

impl FromStr for LogLevel {
    type Err = InvalidLevel;

    fn from_str(text: &str) -> Result<Self, InvalidLevel> {
        let text = text.trim();
        Self::LISTED.into_iter().find(|level| level.as_str().eq_ignore_ascii_case(text)).ok_or(InvalidLevel)
    }
}

impl fmt::Display for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The one name of a logger: parts joined by `.`, the project's crates as `dmf.<crate>`.
pub fn logger_name(name: &str) -> String {
    if name.eq_ignore_ascii_case(ROOT) {
        return ROOT.to_owned();
    }
    let dotted = name.replace("::", ".");
    match dotted.strip_prefix("dmf_").or_else(|| dotted.strip_prefix("dmf-")) {
        Some(rest) if CRATES.contains(&first_part(rest)) => format!("dmf.{rest}"),
        _ => dotted,
    }
}

/// The tracing targets that a logger stands for.
fn targets(name: &str) -> Vec<String> {
    let as_path = |dotted: &str| dotted.replace('.', "::").replace('-', "_");
    match name.strip_prefix("dmf") {
        Some("") => CRATES.iter().map(|name| format!("dmf_{name}")).collect(),
        Some(rest) if rest.strip_prefix('.').is_some_and(|rest| CRATES.contains(&first_part(rest))) => {
            vec![format!("dmf_{}", as_path(&rest[1..]))]
        }
        _ => vec![as_path(name)],
    }
}

fn first_part(name: &str) -> &str {
    name.split('.').next().unwrap_or(name)
}

/// What one logger is set to and what that comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoggerLevel {
    /// The level that was set for this very logger.
    pub configured: Option<LogLevel>,
    /// The level that it or the nearest logger above has.
    pub effective: LogLevel,
}

/// Levels of all loggers that have one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLevels {
    root: LogLevel,
    loggers: BTreeMap<String, LogLevel>,
}

impl LogLevels {
    /// Only ROOT has a level.
    pub fn new(root: LogLevel) -> Self {
        Self { root, loggers: BTreeMap::new() }
    }

    /// Sets or unsets a logger's level. False, and nothing done, if ROOT's is to be unset.
    pub fn set(&mut self, name: &str, level: Option<LogLevel>) -> bool {
        let name = logger_name(name);
        match (name.as_str(), level) {
            (ROOT, None) => return false,
            (ROOT, Some(level)) => self.root = level,
            (_, None) => drop(self.loggers.remove(&name)),
            (_, Some(level)) => drop(self.loggers.insert(name, level)),
        }
        true
    }

    /// Level of any logger.
    pub fn get(&self, name: &str) -> LoggerLevel {
        let name = logger_name(name);
        if name == ROOT {
            return LoggerLevel { configured: Some(self.root), effective: self.root };
        }
        let mut above = name.as_str();
        let effective = loop {
            if let Some(level) = self.loggers.get(above) {
                break *level;
            }
            let Some((parent, _)) = above.rsplit_once('.') else { break self.root };
            above = parent;
        };
        LoggerLevel { configured: self.loggers.get(&name).copied(), effective }
    }

    /// ROOT and every logger that has a level, by name.
    pub fn all(&self) -> BTreeMap<String, LoggerLevel> {
        let names = self.loggers.keys().map(String::as_str).chain([ROOT, "dmf"]);
        names.map(|name| (name.to_owned(), self.get(name))).collect()
    }

    pub(super) fn filter(&self) -> LogFilter {
        // `dmf` comes before `dmf.worker`, so that the more specific one is written over it.
        let targets = self
            .loggers
            .iter()
            .flat_map(|(name, level)| targets(name).into_iter().map(move |target| (target, level.filter())));
        LogFilter(Targets::new().with_default(self.root.filter()).with_targets(targets))
    }
}

/// Lets events through by their target's level. The project's spans pass down to INFO whatever the
/// level is, since the lines inside of them carry their job and request.
pub(super) struct LogFilter(Targets);

impl LogFilter {
    fn lets_through(&self, metadata: &Metadata<'_>) -> bool {
        let is_context = metadata.is_span()
            && *metadata.level() <= LevelFilter::INFO
            && metadata.target().starts_with("dmf_");
        is_context || self.0.would_enable(metadata.target(), metadata.level())
    }
}

impl<S> Filter<S> for LogFilter {
    fn enabled(&self, metadata: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        self.lets_through(metadata)
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        // Records of the `log` crate share one call site each level, so only their own target decides.
        if metadata.target() == "log" {
            Interest::sometimes()
        } else if self.lets_through(metadata) {
            Interest::always()
        } else {
            Interest::never()
        }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        let loggers = self.0.iter().map(|(_, level)| level).max();
        let root = self.0.default_level();
        loggers.max(root).max(Some(LevelFilter::INFO))
    }
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn both_spellings_name_one_logger() {
        for (name, logger, target) in [
            ("dmf.worker", "dmf.worker", "dmf_worker"),
            ("dmf_worker", "dmf.worker", "dmf_worker"),
            ("dmf.scheduler.api", "dmf.scheduler.api", "dmf_scheduler::api"),
            ("dmf_scheduler::api", "dmf.scheduler.api", "dmf_scheduler::api"),
            ("sqlx.query", "sqlx.query", "sqlx::query"),
            ("dmfx", "dmfx", "dmfx"),
            ("dmf.other", "dmf.other", "dmf::other"),
        ] {
            assert_eq!(logger_name(name), logger);
            assert_eq!(targets(logger), [target]);
        }
        assert_eq!(logger_name("root"), ROOT);
        assert_eq!(targets("dmf"), ["dmf_scheduler", "dmf_worker", "dmf_shared"]);
    }

    #[test]
    fn levels_are_inherited() {
        let mut levels = LogLevels::new(LogLevel::Info);
        assert!(levels.set("dmf", Some(LogLevel::Debug)));
        assert!(levels.set("dmf_worker::doveadm", Some(LogLevel::Off)));
        assert_eq!(levels.get("dmf.worker"), LoggerLevel { configured: None, effective: LogLevel::Debug });
        assert_eq!(levels.get("dmf.worker.doveadm.parse").effective, LogLevel::Off);
        assert_eq!(levels.get("sqlx").effective, LogLevel::Info);
        assert_eq!(levels.all().keys().collect::<Vec<_>>(), ["ROOT", "dmf", "dmf.worker.doveadm"]);
        let filter = levels.filter();
        assert!(filter.0.would_enable("dmf_worker::runtime", &Level::DEBUG));
        assert!(!filter.0.would_enable("dmf_worker::doveadm", &Level::ERROR));
        assert!(!filter.0.would_enable("sqlx", &Level::DEBUG));
        assert!(levels.set("dmf.worker.doveadm", None));
        assert_eq!(levels.get("dmf.worker.doveadm").effective, LogLevel::Debug);
        assert!(!levels.set("ROOT", None), "ROOT always has a level");
    }

    #[test]
    fn words_of_levels() {
        for level in LogLevel::LISTED {
            assert_eq!(level.to_string().to_lowercase().parse(), Ok(level));
        }
        assert_eq!("NOT_SPECIFIED".parse::<LogLevel>(), Err(InvalidLevel));
    }
}
