//! The settings of a program as a whole: loaded to run with, or checked for an operator to look at.

use std::path::PathBuf;

use super::{Environment, Errors, Properties, Reader, Report, Sources, Warning};

/// All settings of a program.
pub trait ProgramSettings: Sized {
    /// Where they come from: these files, or else those that the program looks for.
    fn sources(files: &[PathBuf]) -> Sources;

    /// Takes every key from the reader. None if something is missing without which there are no settings; the
    /// reader knows then.
    fn of(reader: &mut Reader<'_>) -> Option<Self>;

    /// Reads files and environment; either everything that is wrong or the settings with warnings.
    fn load(files: &[PathBuf], environment: Environment) -> Result<(Self, Vec<Warning>), Errors> {
        Self::read(&Self::sources(files).load(environment)?)
    }

    /// Reads settings from properties that are loaded already.
    fn read(properties: &Properties) -> Result<(Self, Vec<Warning>), Errors> {
        let mut reader = Reader::new(properties);
        let settings = Self::of(&mut reader);
        let warnings = reader.finish()?;
        // What is missing is a fault, so all is there once nothing was wrong.
        Ok((settings.ok_or(Errors(Vec::new()))?, warnings))
    }

    /// What these files and this environment come to, for the operator to look at.
    fn check(files: &[PathBuf], environment: Environment) -> Result<Report, Errors> {
        let properties = Self::sources(files).load(environment)?;
        let mut reader = Reader::new(&properties);
        Self::of(&mut reader);
        reader.finish_with_report()
    }
}
