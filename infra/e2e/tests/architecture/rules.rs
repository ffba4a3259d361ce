use crate::paths::paths;

/// Who may name whom inside `shared`.
const MODULES: [(&str, &[&str]); 6] = [
    ("domain", &[]),
    ("config", &["domain"]),
    ("crypto", &["domain", "config"]),
    ("store", &["domain", "config", "crypto"]),
    ("queue", &["domain", "config", "crypto"]),
    ("ops", &["domain", "config"]),
];

/// Crates that only some places may name: the crate, and the beginnings of those places' file names.
const CRATES: [(&str, &[&str]); 6] = [
    ("sqlx", &["shared/src/store/"]),
    ("redis", &["shared/src/queue/"]),
    ("apalis", &["shared/src/queue/", "worker/src/runtime.rs", "scheduler/src/relay.rs"]),
    ("apalis_core", &["shared/src/queue/", "worker/src/runtime.rs", "scheduler/src/relay.rs"]),
    ("dmf_scheduler", &["scheduler/src/"]),
    ("dmf_worker", &["worker/src/"]),
];

/// Where child processes are started.
const PROCESS: &str = "worker/src/process/";

/// Everything in a file of the product that points the wrong way, one sentence each.
pub(crate) fn forbidden(file: &str, text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    for path in paths(text, &module_of(file)) {
        let shown = path.join("::");
        let mut fault = |why: &str| faults.push(format!("{file}: {shown}: {why}"));
        let first = path[0].as_str();
        if first == "crate" && file.starts_with("shared/src/") {
            if let (Some(to), Some(own)) = (path.get(1), own_module(file))
                && is_module(to)
                && to != own.0
                && !own.1.contains(&to.as_str())
            {
                fault(&format!("{} may not know {to}", own.0));
            }
        } else if let Some((name, places)) = CRATES.iter().find(|(name, _)| *name == first)
            && !places.iter().any(|place| file.starts_with(place))
        {
            fault(&format!("{name} belongs to {} only", places.join(", ")));
        }
        if starts_processes(&path) && !file.starts_with(PROCESS) {
            fault("processes are started by worker::process only");
        }
    }
    faults
}

/// `Command::new` in any spelling, and imports of the standard library's or tokio's type.
fn starts_processes(path: &[String]) -> bool {
    let ends_with = |end: [&str; 2]| path.len() >= 2 && path[path.len() - 2..] == end;
    ends_with(["Command", "new"]) || ends_with(["process", "Command"]) && matches!(&*path[0], "std" | "tokio")
}

fn is_module(name: &str) -> bool {
    MODULES.iter().any(|(module, _)| *module == name)
}

/// The module of `shared` that a file belongs to, with what it may know.
fn own_module(file: &str) -> Option<&'static (&'static str, &'static [&'static str])> {
    let inside = file.strip_prefix("shared/src/")?;
    let name = inside.split(['/', '.']).next()?;
    MODULES.iter().find(|(module, _)| *module == name)
}

/// The path of a file's module from the crate's root, without `crate`.
fn module_of(file: &str) -> Vec<String> {
    let inside = file.split_once("/src/").map_or(file, |(_, inside)| inside);
    let inside = inside.strip_suffix(".rs").unwrap_or(inside);
    let mut module: Vec<String> = inside.split('/').map(str::to_owned).collect();
    if matches!(module.last().map(String::as_str), Some("mod" | "lib" | "main")) {
        module.pop();
    }
    module
}
