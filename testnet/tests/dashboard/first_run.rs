//! The first run in a browser: from a folder with nothing in it to a node that measures, and from there
//! to a testnet instead.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use super::browser::Page;
use super::world::World;
use super::{LOOKS_MAX, Visit, measure};

/// How long the program may take to say where its set-up is.
const PATIENCE: Duration = Duration::from_secs(60);

/// `boltgrid run` in a folder of its own, which ends with this.
struct Started {
    // Its standard input stays open with it: a node whose parent is gone ends.
    child: Child,
    address: String,
    token: String,
}

impl Started {
    /// The first time, when it says where its set-up is.
    async fn new(folder: &Path) -> Self {
        std::fs::create_dir_all(folder).unwrap();
        let place = free_place();
        let (child, said) = Self::spawn(folder, &place);
        let (address, token) = printed(&said).await;
        assert_eq!(address, format!("http://{place}"));
        Self { child, address, token }
    }

    /// Another time, when it is a node at once.
    async fn again(folder: &Path, token: String) -> Self {
        let place = free_place();
        let (child, said) = Self::spawn(folder, &place);
        let started = Instant::now();
        while TcpStream::connect(&place).await.is_err() {
            let said = std::fs::read_to_string(&said).unwrap();
            assert!(started.elapsed() < PATIENCE, "it does not answer: {said}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Self { child, address: format!("http://{place}"), token }
    }

    fn spawn(folder: &Path, place: &str) -> (Child, PathBuf) {
        let said = folder.join("said.txt");
        let out = std::fs::File::create(&said).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_boltgrid-testnet"))
            .args(["node", "--", "run", "--rpc", place, "--listen", "/ip4/127.0.0.1/tcp/0"])
            .current_dir(folder)
            .env_remove("BOLTGRID_CONFIG")
            .env("TMPDIR", folder)
            .stdin(Stdio::piped())
            .stdout(out.try_clone().unwrap())
            .stderr(out)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        (child, said)
    }

    async fn end(mut self) {
        self.child.kill().await.unwrap();
    }
}

/// A place on loopback where nobody listens now.
fn free_place() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

/// What the terminal shows.
async fn printed(said: &Path) -> (String, String) {
    let started = Instant::now();
    loop {
        let text = std::fs::read_to_string(said).unwrap();
        let after = |label: &str| {
            let rest = text.split(label).nth(1)?;
            // Only once the line is whole.
            rest.contains('\n').then(|| rest.split_whitespace().next().map(str::to_owned))?
        };
        if let (Some(address), Some(token)) = (after("address  "), after("token    ")) {
            return (address.trim_end_matches('/').to_owned(), token);
        }
        assert!(started.elapsed() < PATIENCE, "no set-up is offered: {text}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

pub(crate) async fn from_nothing_to_a_metering_node(page: Page, world: &World, folder: &Path) {
    let home = folder.join("home");
    let started = Started::new(&home).await;
    let mut visit = Visit { page, address: started.address.clone(), barriers: Vec::new() };
    is_opened(&mut visit, &started.token).await;
    says_where_and_which_grid(&mut visit, world).await;
    tries_the_meter(&mut visit, &world.meter(&world.sites[0])).await;
    sets_limits_and_payments(&mut visit, world).await;
    writes_the_words_down(&mut visit).await;
    assert!(!home.join("boltgrid").exists(), "nothing is written before it is looked over");
    let token = starts_the_node(&mut visit, &home.join("boltgrid")).await;
    started.end().await;

    states_a_rate(&home.join("boltgrid/config.toml"));
    let started = Started::again(&home, token).await;
    visit.address.clone_from(&started.address);
    shows_another_currency_too(&mut visit, &started.token).await;
    measure::idle(&mut visit, started.child.id().unwrap()).await;
    // A page that lives would miss its node.
    visit.page.go("about:blank").await;
    started.end().await;

    let started = Started::new(&folder.join("guest")).await;
    visit.address.clone_from(&started.address);
    becomes_a_testnet(&mut visit, &started.token).await;
    started.end().await;
    // While one program gives way to the next, nobody answers; that is waited for.
    visit.page.complaints.retain(|it| !it.contains("/health"));
    visit.page.asked.retain(|it| !it.ends_with("/health"));
    assert!(visit.barriers.is_empty(), "{}", visit.barriers.join("\n"));
    assert!(visit.page.complaints.is_empty(), "{:#?}", visit.page.complaints);
    let own = ["http://127.0.0.1:", "data:", "about:"];
    let is_foreign = |it: &&String| !own.iter().any(|own| it.starts_with(own));
    assert_eq!(visit.page.asked.iter().find(is_foreign), None);
    visit.page.close().await;
}

async fn is_opened(visit: &mut Visit, token: &str) {
    visit.page.look(1440, "light").await;
    visit.go("").await;
    visit.look_at("setup-0-door").await;
    visit.page.fill("#token", "wrong").await;
    visit.page.send("form[action=door] button").await;
    visit.page.until("document.querySelector('.notice.bad')").await;
    visit.page.complaints.retain(|it| !it.contains("401"));
    visit.page.fill("#token", token).await;
    visit.page.send("form[action=door] button").await;
    visit.page.until("document.querySelector('#import_w')").await;
}

async fn says_where_and_which_grid(visit: &mut Visit, world: &World) {
    visit.look_at("setup-1-place").await;
    for (field, value) in [("#name", "House 7"), ("#import_w", "17000"), ("#export_w", "10000")] {
        visit.page.fill(field, value).await;
    }
    visit.page.send("form[action=place] button").await;
    visit.page.until("document.querySelector('#charter')").await;
    visit.page.fill("#charter", &world.charter()).await;
    visit.page.eval("document.querySelector('#looks_around').checked = false").await;
    visit.look_at("setup-2-charter").await;
    visit.page.send("form[action=charter] button").await;
    visit.page.until("document.querySelector('#target')").await;
}

/// It is found at its address, and shows live what it measures.
async fn tries_the_meter(visit: &mut Visit, address: &str) {
    visit.page.fill("#target", address).await;
    let is_found = "document.querySelector('[data-found] button') !== null";
    for attempt in 1.. {
        visit.page.send("button[value=look]").await;
        if visit.page.eval(is_found).await == true {
            break;
        }
        // A search gives each address a moment only, which a busy machine may not have.
        assert!(attempt < LOOKS_MAX, "the meter at {address} is not found");
    }
    visit.page.send("[data-found] button").await;
    visit.page.until("/W/.test(document.querySelector('[data-live]')?.innerText ?? '')").await;
    visit.page.until("/[1-9]\\d* of \\d+ times/.test(document.body.innerText)").await;
    visit.look_at("setup-3-meter").await;
    visit.page.send("button[value=keep]").await;
    visit.page.until("document.querySelector('#reserve')").await;
}

async fn sets_limits_and_payments(visit: &mut Visit, world: &World) {
    visit.page.fill("#buy_at_most", "250.5").await;
    visit.look_at("setup-4-limits").await;
    visit.page.send("form[action=limits] button").await;
    visit.page.until("document.querySelector('#network')").await;
    // There is no default, so the browser itself sends nothing.
    assert_eq!(visit.page.eval("document.querySelector('form').checkValidity()").await, false);
    let [url, user, password] = world.bitcoind();
    visit.page.fill("#network", "signet").await;
    for (field, value) in [("#url", &url), ("#user", &user), ("#password", &password)] {
        visit.page.fill(field, value).await;
    }
    visit.page.fill("#listen", &free_place()).await;
    visit.look_at("setup-5-payments").await;
    visit.page.send("form[action=money] button").await;
    let wrong = "document.querySelector('.notice.bad')?.innerText.includes('regtest')";
    visit.page.until(wrong).await;
    visit.page.fill("#network", "regtest").await;
    visit.page.fill("#password", &password).await;
    visit.page.send("form[action=money] button").await;
    visit.page.until("document.querySelector('.notice.good')").await;
    visit.page.until("document.querySelectorAll('[data-words] li').length === 24").await;
}

async fn writes_the_words_down(visit: &mut Visit) {
    visit.look_at("setup-6-words").await;
    let script = "[...document.querySelectorAll('[data-words] strong')].map((it) => it.innerText)";
    let words = visit.page.eval(script).await;
    visit.page.send("button[value=written]").await;
    visit.page.until("document.querySelectorAll('[data-number]').length === 3").await;
    visit.look_at("setup-7-confirm").await;
    let script = format!(
        "for (const it of document.querySelectorAll('[data-number]')) \
         it.value = ({words})[it.dataset.number - 1]",
        words = json!(words)
    );
    visit.page.eval(&script).await;
    visit.page.send("button[value=confirm]").await;
    visit.page.until("document.querySelector('form[action=write]')").await;
}

/// Starts the node; the owner's token.
async fn starts_the_node(visit: &mut Visit, folder: &Path) -> String {
    visit.look_at("setup-8-review").await;
    visit.page.send("form[action=write] button").await;
    visit.page.until("document.querySelector('[data-token]')").await;
    for name in ["config.toml", "charter.toml", "wallet.seed", "member.request"] {
        let file: PathBuf = folder.join(name);
        assert!(file.exists(), "{name}");
    }
    let token = visit.page.text("[data-token]").await;
    // The same process goes on as the node, at the same address.
    visit.page.until("!document.querySelector('[data-when-there]').disabled").await;
    visit.look_at("setup-9-done").await;
    visit.page.send("form[action=login] button").await;
    visit.page.until("document.querySelector('[data-value=house]')").await;
    visit.go("meters").await;
    visit.page.until("/W/.test(document.querySelector('[data-meter]')?.innerText ?? '')").await;
    visit.go("money").await;
    visit.page.until("document.body.innerText.includes('in channels')").await;
    token
}

/// Changes the config file as its owner would, who has looked up what can be said there.
fn states_a_rate(file: &Path) {
    let text = std::fs::read_to_string(file).unwrap();
    let said = text
        .replace("# fiat_currency = ", "fiat_currency = ")
        .replace("# fiat_per_bitcoin = ", "fiat_per_bitcoin = ");
    assert_ne!(said, text);
    std::fs::write(file, said).unwrap();
}

async fn shows_another_currency_too(visit: &mut Visit, token: &str) {
    visit.go("").await;
    visit.sign_in(token).await;
    visit.page.until("document.querySelector('[data-value=house]')").await;
    visit
        .page
        .until("document.querySelector('footer').innerText.includes('EUR by the owner')")
        .await;
    visit.go("money").await;
    visit.page.until("document.querySelector('.fiat')?.innerText.includes('EUR')").await;
    visit.look_at("fiat").await;
}

/// Whoever only wants to look around presses one button.
async fn becomes_a_testnet(visit: &mut Visit, token: &str) {
    visit.go("").await;
    visit.page.fill("#token", token).await;
    visit.page.send("form[action=door] button").await;
    visit.page.until("document.querySelector('form[action=testnet]')").await;
    visit.page.send("form[action=testnet] button").await;
    visit.page.until("document.querySelector('h1')?.innerText === 'Testnet'").await;
}
