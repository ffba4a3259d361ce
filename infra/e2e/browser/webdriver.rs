//! A headless Chromium, driven by Debian's chromedriver over the `WebDriver` protocol.

use std::{
    fs::File,
    io::{BufRead as _, BufReader},
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use dmf_lab::{Lab, poll_until};
use reqwest::{Client, Method};
use serde_json::{Value, json};

/// Longest time for a page to show what it should, on a loaded machine too.
const PATIENCE: Duration = Duration::from_mins(1);
/// How `WebDriver` marks an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// One browser with one window. Ended when dropped.
pub(crate) struct Browser {
    driver: Child,
    client: Client,
    session: String,
}

impl Browser {
    /// Starts chromedriver and the browser; it reaches nothing but the loopback address. Its files lie in the
    /// lab's directory, and it dies with the lab.
    pub(crate) async fn start(lab: &Lab) -> Result<Self> {
        let dir = lab.dir().join("browser");
        std::fs::create_dir_all(&dir)?;
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .env("HOME", &dir)
            .env("TMPDIR", &dir)
            .current_dir(&dir)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(dir.join("chromedriver.log"))?)
            .process_group(0)
            .spawn()
            .context("chromedriver: infra/install-packages installs it")?;
        lab.guard(i32::try_from(driver.id())?)?;
        let port = port(&mut driver)?;
        let client = Client::builder().timeout(PATIENCE).build()?;
        let root = format!("http://127.0.0.1:{port}");
        let mut browser = Self { driver, client, session: format!("{root}/session") };
        let answer = browser.send(Method::POST, "", capabilities(&dir)).await?;
        let id = answer["sessionId"].as_str().context("no session")?;
        browser.session = format!("{root}/session/{id}");
        Ok(browser)
    }

    async fn send(&self, method: Method, path: &str, body: Value) -> Result<Value> {
        let request = self.client.request(method.clone(), format!("{}{path}", self.session));
        let request = if method == Method::GET { request } else { request.json(&body) };
        let response = request.send().await?;
        let status = response.status();
        let mut answer: Value = response.json().await?;
        if !status.is_success() {
            bail!("{method} {path}: {}", answer["value"]["message"].as_str().unwrap_or("no message"));
        }
        Ok(answer["value"].take())
    }

    /// Opens a page.
    pub(crate) async fn open(&self, url: &str) -> Result<()> {
        self.send(Method::POST, "/url", json!({ "url": url })).await.map(drop)
    }

    /// The value of a JavaScript expression.
    pub(crate) async fn value(&self, expression: &str) -> Result<Value> {
        let script = format!("return {expression};");
        self.send(Method::POST, "/execute/sync", json!({ "script": script, "args": [] })).await
    }

    /// Waits until a JavaScript expression is `wanted`.
    pub(crate) async fn wait_for(&self, expression: &str, wanted: &Value) -> Result<()> {
        let what = format!("{expression} did not become {wanted}");
        poll_until(&what, PATIENCE, async || match self.value(expression).await {
            Ok(value) if value == *wanted => Ok(()),
            Ok(value) => Err(value.to_string()),
            Err(error) => Err(format!("{error:#}")),
        })
        .await?;
        Ok(())
    }

    /// Waits for an element and clicks it.
    pub(crate) async fn click(&self, selector: &str) -> Result<()> {
        self.act(selector, "click", json!({})).await
    }

    /// Waits for an input and types into it.
    pub(crate) async fn enter(&self, selector: &str, text: &str) -> Result<()> {
        self.act(selector, "value", json!({ "text": text })).await
    }

    async fn act(&self, selector: &str, action: &str, body: Value) -> Result<()> {
        let what = format!("{action} on {selector} was not possible");
        poll_until(&what, PATIENCE, async || {
            let find = json!({ "using": "css selector", "value": selector });
            let found = self.send(Method::POST, "/element", find).await;
            let found = found.map_err(|error| format!("{error:#}"))?;
            let element = found[ELEMENT].as_str().unwrap_or_default();
            let path = format!("/element/{element}/{action}");
            self.send(Method::POST, &path, body.clone()).await.map(drop).map_err(|error| format!("{error:#}"))
        })
        .await?;
        Ok(())
    }

    /// Errors that the browser's console shows since it was asked last, such as scripts that failed and loads
    /// that the security policy stopped.
    pub(crate) async fn errors(&self) -> Result<Vec<String>> {
        let log = self.send(Method::POST, "/se/log", json!({ "type": "browser" })).await?;
        let entries = log.as_array().into_iter().flatten();
        let errors = entries.filter(|entry| entry["level"] == "SEVERE");
        Ok(errors.map(|entry| entry["message"].as_str().unwrap_or_default().to_owned()).collect())
    }

    /// Ends the browser.
    pub(crate) async fn close(&self) -> Result<()> {
        self.send(Method::DELETE, "", json!({})).await.map(drop)
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        drop(self.driver.kill());
        drop(self.driver.wait());
    }
}

/// The port that chromedriver says it has taken.
fn port(driver: &mut Child) -> Result<u16> {
    let output = BufReader::new(driver.stdout.take().context("no output")?);
    for line in output.lines() {
        if let Some((_, port)) = line?.split_once("started successfully on port ") {
            return Ok(port.trim_end_matches('.').parse()?);
        }
    }
    bail!("chromedriver ended before it listened")
}

fn capabilities(dir: &Path) -> Value {
    let arguments = [
        "--headless=new".to_owned(),
        // As root, in containers: there is no user namespace for a sandbox.
        "--no-sandbox".to_owned(),
        "--disable-dev-shm-usage".to_owned(),
        "--disable-gpu".to_owned(),
        "--no-first-run".to_owned(),
        "--disable-background-networking".to_owned(),
        "--window-size=1400,1000".to_owned(),
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1".to_owned(),
        format!("--user-data-dir={}", dir.join("profile").display()),
    ];
    json!({ "capabilities": { "alwaysMatch": {
        "browserName": "chrome",
        "goog:chromeOptions": { "args": arguments },
        "goog:loggingPrefs": { "browser": "ALL" },
    } } })
}
