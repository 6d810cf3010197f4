//! A headless Chromium, driven by its own protocol (CDP) over one WebSocket: enough to look at pages as
//! people do, and no more.
//!
//! What a page complains of, and whom it calls, is collected all along.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use soketto::handshake::{Client, ServerResponse};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt as _};

/// How long anything may take that a page is waited for.
const PATIENCE: Duration = Duration::from_secs(90);
/// How often a condition is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Where Debian has it.
const PROGRAMS: [&str; 3] =
    ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

/// The browser's program: what `BOLTGRID_CHROMIUM` names, or where it usually is.
pub(crate) fn program() -> Option<PathBuf> {
    let named = std::env::var_os("BOLTGRID_CHROMIUM").map(PathBuf::from);
    named.or_else(|| PROGRAMS.map(PathBuf::from).into_iter().find(|it| it.exists()))
}

/// One page in a browser of its own, which ends with it.
pub(crate) struct Page {
    child: Child,
    sender: soketto::Sender<Compat<TcpStream>>,
    receiver: soketto::Receiver<Compat<TcpStream>>,
    session: Option<String>,
    next_id: u64,
    /// Errors on the console, of scripts, and of loading.
    pub(crate) complaints: Vec<String>,
    /// Every address that was asked.
    pub(crate) asked: Vec<String>,
}

impl Page {
    /// Starts a browser with an empty page; `folder` is for its own files.
    pub(crate) async fn open(program: &Path, folder: &Path) -> Self {
        let child = Command::new(program)
            .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run"])
            .args(["--disable-background-networking", "--disable-component-update"])
            .args(["--disable-dev-shm-usage", "--hide-scrollbars", "--lang=en-GB"])
            .arg("--remote-debugging-port=0")
            .arg(format!("--user-data-dir={}", folder.display()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let (port, path) = listening(folder).await;
        let host = format!("127.0.0.1:{port}");
        let stream = TcpStream::connect(&host).await.unwrap().compat();
        let mut client = Client::new(stream, &host, &path);
        let answer = client.handshake().await.unwrap();
        assert!(matches!(answer, ServerResponse::Accepted { .. }), "{answer:?}");
        let (sender, receiver) = client.into_builder().finish();
        let (complaints, asked) = (Vec::new(), Vec::new());
        let mut page =
            Self { child, sender, receiver, session: None, next_id: 0, complaints, asked };
        let target = page.call("Target.createTarget", json!({"url": "about:blank"})).await;
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let session = page.call("Target.attachToTarget", attach).await;
        page.session = session["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Log", "Network"] {
            page.call(&format!("{domain}.enable"), json!({})).await;
        }
        page
    }

    /// Calls the browser and waits for its answer.
    pub(crate) async fn call(&mut self, method: &str, params: Value) -> Value {
        let mut answer = self.ask(method, params).await;
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        answer["result"].take()
    }

    /// The same, with an error as an answer.
    async fn ask(&mut self, method: &str, params: Value) -> Value {
        self.next_id += 1;
        let id = self.next_id;
        let mut message = json!({"id": id, "method": method, "params": params});
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        self.sender.send_text(message.to_string()).await.unwrap();
        self.sender.flush().await.unwrap();
        let answered = async {
            loop {
                let mut bytes = Vec::new();
                self.receiver.receive_data(&mut bytes).await.unwrap();
                let message: Value = serde_json::from_slice(&bytes).unwrap();
                if message["id"] == json!(id) {
                    return message;
                }
                note(&message, &mut self.complaints, &mut self.asked);
            }
        };
        tokio::time::timeout(PATIENCE, answered).await.expect(method)
    }

    /// Whether an expression is true now. Where the page is just left for another, or half there, it is
    /// not.
    async fn holds(&mut self, condition: &str) -> bool {
        let params = json!({"expression": format!("Boolean({condition})"), "returnByValue": true});
        self.ask("Runtime.evaluate", params).await["result"]["result"]["value"] == json!(true)
    }

    /// Goes to an address and waits until the page is there.
    pub(crate) async fn go(&mut self, url: &str) {
        let went = self.call("Page.navigate", json!({"url": url})).await;
        assert!(went.get("errorText").is_none(), "{url}: {went}");
        self.until("document.readyState === 'complete'").await;
    }

    /// What an expression of JavaScript comes to.
    pub(crate) async fn eval(&mut self, script: &str) -> Value {
        let params = json!({"expression": script, "returnByValue": true, "awaitPromise": true});
        let result = self.call("Runtime.evaluate", params).await;
        assert!(result.get("exceptionDetails").is_none(), "{script}: {result}");
        result["result"]["value"].clone()
    }

    /// The text of the first element that a selector finds; empty where there is none.
    pub(crate) async fn text(&mut self, selector: &str) -> String {
        let script = format!("document.querySelector({})?.textContent ?? ''", json!(selector));
        self.eval(&script).await.as_str().unwrap_or_default().trim().to_owned()
    }

    /// Waits until an expression is true.
    pub(crate) async fn until(&mut self, condition: &str) {
        let started = Instant::now();
        while !self.holds(condition).await {
            if started.elapsed() > PATIENCE {
                let (url, text) =
                    (self.eval("location.href").await, self.eval("document.body.innerText").await);
                panic!("{condition} never came true at {url}:\n{text}");
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Loads the page again and again until an expression is true.
    pub(crate) async fn until_loaded_anew(&mut self, condition: &str) {
        let started = Instant::now();
        while !self.holds(condition).await {
            assert!(started.elapsed() < PATIENCE, "{condition} never came true");
            tokio::time::sleep(Duration::from_secs(1)).await;
            self.call("Page.reload", json!({})).await;
            self.until("document.readyState === 'complete'").await;
        }
    }

    /// Writes into a field, as a person would who cleared it before.
    pub(crate) async fn fill(&mut self, selector: &str, value: &str) {
        let script = format!(
            "(() => {{ const it = document.querySelector({}); it.value = {}; \
             for (const kind of ['input', 'change']) it.dispatchEvent(new Event(kind, {{bubbles: true}})); \
             return true }})()",
            json!(selector),
            json!(value)
        );
        self.eval(&script).await;
    }

    /// Clicks, and waits for the page that follows.
    pub(crate) async fn send(&mut self, selector: &str) {
        self.eval("window.isOld = true").await;
        let script = format!("document.querySelector({}).click()", json!(selector));
        self.eval(&script).await;
        self.until("!window.isOld && document.readyState === 'complete'").await;
    }

    /// Sets the window's width, and what the browser says of its owner's taste.
    pub(crate) async fn look(&mut self, width: u32, theme: &str) {
        let size =
            json!({"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600});
        self.call("Emulation.setDeviceMetricsOverride", size).await;
        let taste = json!({"features": [{"name": "prefers-color-scheme", "value": theme}]});
        self.call("Emulation.setEmulatedMedia", taste).await;
    }

    /// Draws the whole page into a file.
    pub(crate) async fn draw(&mut self, file: &Path) {
        let params = json!({"format": "png", "captureBeyondViewport": true});
        let drawn = self.call("Page.captureScreenshot", params).await;
        let bytes = STANDARD.decode(drawn["data"].as_str().unwrap()).unwrap();
        std::fs::write(file, bytes).unwrap();
    }

    /// Ends the browser.
    pub(crate) async fn close(mut self) {
        self.child.kill().await.unwrap();
    }
}

/// The port and the path at which a browser says that it listens.
async fn listening(folder: &Path) -> (String, String) {
    let started = Instant::now();
    loop {
        let said = std::fs::read_to_string(folder.join("DevToolsActivePort")).unwrap_or_default();
        if let Some((port, path)) = said.split_once('\n') {
            return (port.to_owned(), path.trim().to_owned());
        }
        assert!(started.elapsed() < PATIENCE, "the browser never said where it listens");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Notes what an event complains of, and whom it asks.
fn note(event: &Value, complaints: &mut Vec<String>, asked: &mut Vec<String>) {
    let params = &event["params"];
    match event["method"].as_str().unwrap_or_default() {
        "Runtime.exceptionThrown" => complaints.push(params["exceptionDetails"].to_string()),
        "Runtime.consoleAPICalled" if params["type"] == "error" => {
            complaints.push(params["args"].to_string());
        }
        "Log.entryAdded" if params["entry"]["level"] == "error" => {
            complaints.push(params["entry"].to_string());
        }
        "Network.requestWillBeSent" => {
            asked.push(params["request"]["url"].as_str().unwrap_or_default().to_owned());
        }
        _ => {}
    }
}
