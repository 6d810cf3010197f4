//! The whole set-up over HTTP, from a token in a terminal to a config file.

use std::sync::PoisonError;

use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode};

use super::*;
use crate::access::Access;
use crate::clock;
use crate::config::RawRpc;

const CHARTER: &str = include_str!("../../../../protocol/tests/charter.toml");

/// A terminal that is read.
#[derive(Clone, Default)]
struct Terminal(Arc<std::sync::Mutex<Vec<u8>>>);

impl Write for Terminal {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Terminal {
    fn word_after(&self, label: &str) -> Option<String> {
        let said = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let said = String::from_utf8(said).unwrap();
        said.split(label).nth(1)?.split_whitespace().next().map(str::to_owned)
    }
}

/// A browser, as far as this needs one.
struct Browser {
    client: Client,
    origin: String,
    cookie: String,
}

impl Browser {
    async fn see(&self, path: &str) -> String {
        let request = self.client.get(format!("{}/{path}", self.origin));
        let answer = request.header("cookie", &self.cookie).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        answer.text().await.unwrap()
    }

    async fn send(&self, path: &str, form: &[(&str, &str)]) -> reqwest::Response {
        self.send_from(&self.origin, path, form).await
    }

    async fn send_from(
        &self,
        origin: &str,
        path: &str,
        form: &[(&str, &str)],
    ) -> reqwest::Response {
        let encode =
            |text: &str| text.bytes().map(|byte| format!("%{byte:02x}")).collect::<String>();
        let pairs = form.iter().map(|(name, value)| format!("{name}={}", encode(value)));
        let request = self.client.post(format!("{}/{path}", self.origin));
        let request = request
            .header("origin", origin)
            .header("cookie", &self.cookie)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(pairs.collect::<Vec<_>>().join("&"));
        request.send().await.unwrap()
    }

    /// Sends a form that is taken.
    async fn says(&self, path: &str, form: &[(&str, &str)]) {
        let answer = self.send(path, form).await;
        assert_eq!(answer.status(), StatusCode::SEE_OTHER, "{path}");
    }

    /// Sends a form that is shown again, with this in it.
    async fn is_refused(&self, path: &str, form: &[(&str, &str)], why: &str) {
        let answer = self.send(path, form).await;
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        let text = answer.text().await.unwrap();
        assert!(text.contains("notice bad") && text.contains(why), "{path}: {text}");
    }
}

/// Words and their numbers, as the page shows them.
fn words(page: &str) -> Vec<String> {
    let words = page.split("<strong>").skip(1).filter_map(|it| it.split("</strong>").next());
    words.map(str::to_owned).filter(|it| it != "Boltgrid").collect()
}

#[tokio::test]
async fn from_a_token_in_the_terminal_to_a_config_that_a_node_takes() {
    drop(rustls::crypto::ring::default_provider().install_default());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("boltgrid/config.toml");
    let rpc = RawRpc { listen: Some("127.0.0.1:0".to_owned()), ..RawRpc::default() };
    let overrides = RawConfig { rpc, ..RawConfig::default() };
    let terminal = Terminal::default();
    let guiding = guide(&file, overrides.clone(), terminal.clone());
    let using = async {
        while terminal.word_after("token ").is_none() {
            tokio::task::yield_now().await;
        }
        let client = Client::builder().redirect(Policy::none()).build().unwrap();
        let origin = terminal.word_after("address ").unwrap().trim_end_matches('/').to_owned();
        let browser = Browser { client, origin, cookie: String::new() };
        let token = terminal.word_after("token ").unwrap();
        let browser = opens(browser, &token).await;
        says_all(&browser).await;
        assert!(!folder.path().join("boltgrid").exists(), "nothing is written before");
        browser.send("write", &[]).await.text().await.unwrap()
    };
    let (outcome, last) = tokio::join!(guiding, using);
    assert_eq!(outcome.unwrap(), Outcome::Node);
    let config = Config::load(&file, overrides).unwrap();
    assert_eq!(config.owner.buy_at_most.map(|it| it.to_msat_per_kwh()), Some(250_500));
    assert!(file.with_file_name("member.request").exists());
    // What the last page shows opens the node.
    let token = last.split("data-token>").nth(1).unwrap().split('<').next().unwrap();
    let access = Access::open(&config.data_dir).unwrap();
    let caller = access.caller(clock::now(), Secret::shown(token).as_ref()).unwrap();
    assert_eq!(&*caller.name, "owner");
}

/// The door opens for the token, once, and for nothing else.
async fn opens(browser: Browser, token: &str) -> Browser {
    assert!(browser.see("").await.contains("action=\"door\""));
    let place = [("name", "a"), ("import_w", "1"), ("export_w", "1")];
    browser.says("place", &place).await;
    assert!(browser.see("").await.contains("action=\"door\""), "nobody is in yet");
    let wrong = browser.send("door", &[("token", "boltgrid_x")]).await;
    assert_eq!(wrong.status(), StatusCode::UNAUTHORIZED);
    let foreign = browser.send_from("http://evil.example", "door", &[("token", token)]).await;
    assert_eq!(foreign.status(), StatusCode::FORBIDDEN);
    let opened = browser.send("door", &[("token", token)]).await;
    let cookie = opened.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap();
    let cookie = cookie.to_owned();
    let again = browser.send("door", &[("token", token)]).await;
    assert_eq!(again.status(), StatusCode::UNAUTHORIZED, "once");
    let browser = Browser { cookie, ..browser };
    assert!(browser.see("").await.contains("action=\"place\""));
    browser
}

/// Every step is said, after something wrong was refused.
async fn says_all(browser: &Browser) {
    let nameless = [("name", ""), ("import_w", "1"), ("export_w", "1")];
    browser.is_refused("place", &nameless, "needs a name").await;
    let early = browser.send("write", &[]).await.text().await.unwrap();
    assert!(early.contains("action=\"place\""), "not before all is said");
    let place = [("name", "House 7"), ("import_w", "17000"), ("export_w", "10000")];
    browser.says("place", &place).await;
    browser.is_refused("charter", &[("charter", "name = 1")], "notice bad").await;
    browser.says("charter", &[("charter", CHARTER)]).await;
    let meter = |what| [("driver", "sunspec"), ("address", "127.0.0.1:1"), ("what", what)];
    browser.is_refused("meter", &meter("keep"), "Try the meter first").await;
    assert_eq!(browser.send("meter", &meter("try")).await.status(), StatusCode::OK);
    assert!(browser.see("meter-live").await.contains("0 of 1"));
    browser.is_refused("meter", &meter("keep"), "Try the meter first").await;
    browser.says("meter", &meter("skip")).await;
    let limits = [("trade", "on"), ("buy_at_most", "250.5"), ("reserve", "20")];
    browser.says("limits", &limits).await;
    browser.is_refused("money", &[("network", "")], "no default").await;
    let nowhere =
        [("network", "regtest"), ("source", "esplora"), ("url", "http://127.0.0.1:1/api")];
    browser.is_refused("money", &nowhere, "127.0.0.1:1").await;
    browser.says("money", &[("network", "none")]).await;
    // Words, and others, and three of them.
    let first = words(&browser.see("").await);
    browser.says("words", &[("what", "written")]).await;
    assert!(words(&browser.see("").await).is_empty(), "shown once");
    browser.says("words", &[("what", "again")]).await;
    let second = words(&browser.see("").await);
    assert_eq!((first.len(), second.len()), (24, 24));
    assert_ne!(first, second);
    browser.says("words", &[("what", "written")]).await;
    let page = browser.see("").await;
    let asked = page.split("data-number=\"").skip(1).filter_map(|it| it.split('"').next());
    let asked: Vec<usize> = asked.map(|it| it.parse().unwrap()).collect();
    let [a, b, c] = [0, 1, 2].map(|it| second[asked[it] - 1].as_str());
    let wrong = [("word_1", a), ("word_2", b), ("word_3", "zebra1"), ("what", "confirm")];
    browser.is_refused("words", &wrong, "not the words").await;
    let right = [("word_1", a), ("word_2", b), ("word_3", c), ("what", "confirm")];
    browser.says("words", &right).await;
    assert!(browser.see("").await.contains("action=\"write\""));
    // An earlier step can be looked at again.
    assert!(browser.see("?step=limits").await.contains("value=\"250.5\""));
}
