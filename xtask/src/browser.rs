//! A headless Chromium, driven over two pipes: commands as JSON, each ended by a zero byte.
//!
//! The browser reads its descriptor 3 and writes its descriptor 4. A shell puts its own standard
//! input and output there, so this needs neither a socket nor anything that is not safe.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// Names under which it may be installed.
const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "chrome"];
const PIPES: &str = "exec \"$0\" \"$@\" 3<&0 4>&1 0</dev/null 1>/dev/null 2>&1";
const FLAGS: [&str; 9] = [
    "--headless=new",
    "--remote-debugging-pipe",
    // Machines of CI run it as root, where its sandbox can't be had; it opens our own files only.
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--no-default-browser-check",
];
/// An answer that takes longer will not come.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running browser with one open page. Dropped, it is gone.
pub(crate) struct Browser {
    process: Child,
    commands: ChildStdin,
    messages: Receiver<Value>,
    session: Option<String>,
    last_id: u64,
    /// What it told without being asked.
    events: Vec<Value>,
}

impl Browser {
    /// Starts one, with a profile of its own in `folder`.
    pub(crate) fn start(folder: &Path) -> Result<Self, String> {
        let program = find().ok_or_else(|| {
            "no Chromium is installed, and the report is tested in one. On Debian: \
             apt-get install -y --no-install-recommends chromium"
                .to_owned()
        })?;
        let mut process = Command::new("sh")
            .arg("-c")
            .arg(PIPES)
            .arg(program)
            .args(FLAGS)
            .arg(format!("--user-data-dir={}", folder.join("profile").display()))
            .arg("about:blank")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("can't start {program}: {error}"))?;
        let commands = process.stdin.take().expect("its input is a pipe");
        let output = process.stdout.take().expect("its output is a pipe");
        let (sender, messages) = channel();
        thread::spawn(move || {
            for message in BufReader::new(output).split(0).map_while(Result::ok) {
                let message = serde_json::from_slice(&message).unwrap_or(Value::Null);
                if sender.send(message).is_err() {
                    break;
                }
            }
        });
        let mut browser =
            Self { process, commands, messages, session: None, last_id: 0, events: Vec::new() };
        browser.open_page()?;
        Ok(browser)
    }

    fn open_page(&mut self) -> Result<(), String> {
        let page = self.call("Target.createTarget", json!({"url": "about:blank"}))?;
        let attach = json!({"targetId": page["targetId"], "flatten": true});
        let attached = self.call("Target.attachToTarget", attach)?;
        self.session = attached["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Log", "Network"] {
            self.call(&format!("{domain}.enable"), json!({}))?;
        }
        Ok(())
    }

    /// Gives a command and waits for its answer.
    pub(crate) fn call(&mut self, method: &str, parameters: Value) -> Result<Value, String> {
        self.last_id += 1;
        let mut command = json!({"id": self.last_id, "method": method, "params": parameters});
        if let Some(session) = &self.session {
            command["sessionId"] = json!(session);
        }
        let bytes = [command.to_string().as_bytes(), &[0]].concat();
        self.commands
            .write_all(&bytes)
            .and_then(|()| self.commands.flush())
            .map_err(|error| format!("the browser takes no commands: {error}"))?;
        let id = self.last_id;
        let answer = self.wait(method, |message| message["id"] == json!(id))?;
        match answer.get("error") {
            None => Ok(answer["result"].clone()),
            Some(error) => Err(format!("{method}: {}", error["message"])),
        }
    }

    /// Waits for a message; others are kept.
    fn wait(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value, String> {
        let end = Instant::now() + PATIENCE;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let message = self
                .messages
                .recv_timeout(left)
                .map_err(|_| format!("no answer to {what} from the browser"))?;
            if wanted(&message) {
                return Ok(message);
            }
            self.events.push(message);
        }
    }

    /// Opens a file and waits until it is loaded; what its scripts do then is their affair.
    pub(crate) fn open(&mut self, file: &Path) -> Result<(), String> {
        self.events.clear();
        self.call("Page.navigate", json!({"url": format!("file://{}", file.display())}))?;
        let loaded = |message: &Value| message["method"] == "Page.loadEventFired";
        if !self.events.iter().any(loaded) {
            self.wait("Page.navigate", loaded)?;
        }
        Ok(())
    }

    /// The value of an expression in the page; of a promise, what it comes to.
    pub(crate) fn value(&mut self, expression: &str) -> Result<Value, String> {
        let parameters =
            json!({"expression": expression, "awaitPromise": true, "returnByValue": true});
        let answer = self.call("Runtime.evaluate", parameters)?;
        match answer.get("exceptionDetails") {
            None => Ok(answer["result"]["value"].clone()),
            Some(details) => {
                let text = details["exception"]["description"].as_str().unwrap_or("an exception");
                Err(format!("{expression}: {text}"))
            }
        }
    }

    /// What went wrong on the page since it was opened: errors and warnings, and requests to others.
    pub(crate) fn complaints(&self) -> Vec<String> {
        self.events.iter().filter_map(complaint).collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It is ended by its own process; whether it was still there does not matter.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What is wrong about an event of the browser, if anything is.
fn complaint(event: &Value) -> Option<String> {
    let about = &event["params"];
    match event["method"].as_str()? {
        "Runtime.exceptionThrown" => {
            let details = &about["exceptionDetails"];
            let text = details["exception"]["description"].as_str().or(details["text"].as_str());
            Some(format!("exception: {}", text.unwrap_or("?")))
        }
        "Runtime.consoleAPICalled" if about["type"] == "error" || about["type"] == "warning" => {
            Some(format!("console: {}", about["args"]))
        }
        "Log.entryAdded" if about["entry"]["level"] != "verbose" => {
            Some(format!("log: {}", about["entry"]["text"]))
        }
        "Network.requestWillBeSent" => {
            let url = about["request"]["url"].as_str().unwrap_or_default();
            let own = ["file:", "data:", "blob:"].iter().any(|scheme| url.starts_with(scheme));
            (!own).then(|| format!("request: {url}"))
        }
        _ => None,
    }
}

/// The browser's program, where one is installed.
fn find() -> Option<&'static str> {
    let folders = std::env::var_os("PATH")?;
    NAMES
        .into_iter()
        .find(|name| std::env::split_paths(&folders).any(|folder| folder.join(name).is_file()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(event: Value, expected: Option<&str>) {
        assert_eq!(complaint(&event).as_deref(), expected);
    }

    #[test]
    fn errors_and_requests_are_complaints() {
        let request = |url: &str| json!({"method": "Network.requestWillBeSent", "params": {"request": {"url": url}}});
        check(request("file:///a/report.html"), None);
        check(request("data:,"), None);
        check(request("https://example.org/x.js"), Some("request: https://example.org/x.js"));
        let console = |kind: &str| json!({"method": "Runtime.consoleAPICalled", "params": {"type": kind, "args": ["x"]}});
        check(console("log"), None);
        check(console("warning"), Some("console: [\"x\"]"));
        let thrown = json!({"exceptionDetails": {"text": "Uncaught"}});
        let thrown = json!({"method": "Runtime.exceptionThrown", "params": thrown});
        check(thrown, Some("exception: Uncaught"));
        check(json!({"id": 1}), None);
    }
}
