//! The process's environment. The only place that reads it.

use std::{collections::BTreeMap, fmt, path::PathBuf};

use super::key::environment_form;

/// Variable that names configuration files, separated by commas.
pub const CONFIG_FILES: &str = "MICRONAUT_CONFIG_FILES";

/// Families of variables that can only be meant for this program.
const OWN_PREFIXES: [&str; 5] = ["DMF_", "DATASOURCES_", "ENDPOINTS_", "HTTP_ADMIN_", "MICRONAUT_"];

/// A copy of the environment. An empty variable counts as absent, since container files can't leave
/// one out.
#[derive(Clone, Default)]
pub struct Environment {
    by_name: BTreeMap<String, String>,
    by_form: BTreeMap<String, String>,
}

impl Environment {
    /// The environment of this process; variables that are no UTF-8 are left out.
    pub fn from_process() -> Self {
        Self::from_variables(
            std::env::vars_os()
                .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))),
        )
    }

    /// An environment of exactly these variables; for tests.
    pub fn from_variables<N: Into<String>, V: Into<String>>(
        variables: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        let by_name: BTreeMap<String, String> = variables
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()))
            .filter(|(_, value)| !value.is_empty())
            .collect();
        let by_form = by_name.keys().map(|name| (environment_form(name), name.clone())).collect();
        Self { by_name, by_form }
    }

    /// The variable of exactly this name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.by_name.get(name).map(String::as_str)
    }

    /// Whether colours are unwanted (`NO_COLOR`, see no-color.org).
    pub fn forbids_colour(&self) -> bool {
        self.get("NO_COLOR").is_some()
    }

    /// The files that `MICRONAUT_CONFIG_FILES` names, in order.
    pub fn config_files(&self) -> Vec<PathBuf> {
        let names = self.get(CONFIG_FILES).unwrap_or_default();
        names
            .split(',')
            .map(str::trim)
            .map(|name| name.strip_prefix("file:").unwrap_or(name))
            .filter(|name| !name.is_empty())
            .map(PathBuf::from)
            .collect()
    }

    /// Name and value of the variable that stands for `key`: each `.` and `-` is a `_`
    /// (`DMF_CRYPTO_STORAGE_KEY_FILE`), or a `-` is nothing (`DMF_CRYPTO_STORAGEKEY_FILE`).
    pub(super) fn find(&self, key: &str) -> Option<(&str, &str)> {
        self.find_suffixed(key, "")
    }

    /// As [`Self::find`], for the variable `<key>_FILE`.
    pub(super) fn find_file(&self, key: &str) -> Option<(&str, &str)> {
        self.find_suffixed(key, "_file")
    }

    fn find_suffixed(&self, key: &str, suffix: &str) -> Option<(&str, &str)> {
        let [full, short] = forms(key).map(|form| form + suffix);
        let name = self.by_form.get(&full).or_else(|| self.by_form.get(&short))?;
        Some((name, self.by_name.get(name)?))
    }

    /// Names and forms of the variables that can only be meant for this program. What container
    /// platforms add for a service of that name (`DMF_SCHEDULER_PORT=tcp://…`) is none.
    pub(super) fn own(&self) -> impl Iterator<Item = (&str, String)> {
        self.by_name
            .iter()
            .filter(|(name, value)| {
                OWN_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
                    && *name != CONFIG_FILES
                    && !value.starts_with("tcp://")
                    && !value.starts_with("udp://")
                    && !["_SERVICE_HOST", "_SERVICE_PORT", "_PORT_"].iter().any(|part| name.contains(part))
            })
            .map(|(name, _)| (name.as_str(), environment_form(name)))
    }
}

/// The two forms under which a variable may stand for `key`.
pub(super) fn forms(key: &str) -> [String; 2] {
    [environment_form(key), environment_form(&key.replace('-', ""))]
}

impl fmt::Debug for Environment {
    /// Names only: a value may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.by_name.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_stand_for_keys() {
        let environment = Environment::from_variables([
            ("HTTP_ADMIN_USERNAME", "admin"),
            ("DMF_CRYPTO_STORAGEKEY_FILE", "/keys/k"),
            ("DMF_CRYPTO_STORAGE_KEY_ALIAS", "k1"),
            ("dmf.worker.name", "dotted"),
            ("EMPTY_ONE", ""),
        ]);
        let find = |key| environment.find(key).map(|(_, value)| value);
        assert_eq!(find("http.admin.username"), Some("admin"));
        assert_eq!(find("dmf.crypto.storage-key.file"), Some("/keys/k"));
        assert_eq!(find("dmf.crypto.storage-key.alias"), Some("k1"));
        assert_eq!(find("dmf.worker.name"), Some("dotted"));
        assert_eq!(find("empty.one"), None);
        assert!(!format!("{environment:?}").contains("admin\""), "values stay out of Debug");
    }

    #[test]
    fn config_files_are_split_and_stripped() {
        let environment = Environment::from_variables([(CONFIG_FILES, "file:/a.yml, /b.yml,")]);
        assert_eq!(environment.config_files(), [PathBuf::from("/a.yml"), PathBuf::from("/b.yml")]);
        assert!(Environment::default().config_files().is_empty());
    }

    #[test]
    fn service_links_of_containers_are_not_ours() {
        let environment = Environment::from_variables([
            ("DMF_SCHEDULER_PORT", "tcp://10.0.0.1:8443"),
            ("DMF_SCHEDULER_SERVICE_HOST", "10.0.0.1"),
            ("DMF_WORKER_NAM", "x"),
            ("PATH", "/bin"),
        ]);
        let own: Vec<_> = environment.own().map(|(name, _)| name).collect();
        assert_eq!(own, ["DMF_WORKER_NAM"]);
    }
}
