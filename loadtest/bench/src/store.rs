//! MariaDB as schedulers and workers connect to it.

use anyhow::{Context as _, Result};
use dmf_shared::config::{DataSource, Environment, Reader, Sources};
use dmf_shared::store::Options;

/// Options of a pool of so many connections to `jdbc:mariadb://…`, as the settings of a program would give them.
pub(crate) fn options(jdbc: &str, user: &str, password: &str, connections: u32) -> Result<Options> {
    let text = format!(
        "datasources.default: {{url: '{jdbc}', username: '{user}', password: '{password}', \
         maximum-pool-size: {connections}}}"
    );
    let properties = Sources::default().load_text(&text, Environment::from_variables([("", ""); 0]))?;
    let source =
        DataSource::read(&mut Reader::new(&properties), "datasources.default").context("settings")?;
    Ok(Options::from(&source))
}
