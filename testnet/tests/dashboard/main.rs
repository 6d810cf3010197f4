//! The dashboard as people use it: a real browser in front of real nodes of a small testnet.
//!
//! Pictures of every page, light and dark, on a phone and on a desk, are written to the folder that
//! `BOLTGRID_PICTURES` names, to be looked at.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test that cannot go on should stop")]
#![allow(clippy::print_stderr, reason = "what is not checked is said aloud")]

mod browser;
mod first_run;
mod measure;
mod overview;
mod world;

use std::path::{Path, PathBuf};
use std::time::Duration;

use boltgrid::access::Role;
use browser::Page;
use serde_json::json;
use world::World;

/// The checks of accessibility, as they come from npm (`axe-core`, see the licence beside it).
const AXE: &str = include_str!("../vendor/axe.min.js");

/// Every page: its name, and what is there once it is all there.
const PAGES: [(&str, &str); 7] = [
    ("", "document.querySelector('[data-value=house]')"),
    ("market", "Number(document.querySelector('[data-chart]')?.dataset.drawn) > 0"),
    ("miners", "document.querySelector('[data-machine]')"),
    ("money", "document.querySelector('table, .quiet')"),
    ("meters", "document.querySelector('[data-meter]')"),
    ("grid", "document.querySelector('[data-value=decided]')"),
    ("settings", "document.querySelector('#reserve')"),
];

/// How often an earlier interval is looked at for its curves, and how long apart: two intervals.
const LOOKS_MAX: u32 = 10;
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// A browser in front of one site of a testnet.
struct Visit {
    page: Page,
    address: String,
    /// What keeps somebody from using a page.
    barriers: Vec<String>,
}

impl Visit {
    async fn go(&mut self, name: &str) {
        let url = format!("{}/{name}", self.address);
        self.page.go(&url).await;
    }

    async fn sign_in(&mut self, token: &str) {
        self.page.until("document.querySelector('#token')").await;
        self.page.fill("#token", token).await;
        self.page.send("form[action=login] button").await;
    }

    /// Fails where the page complained, or called another host.
    fn is_quiet(&mut self) {
        assert!(self.page.complaints.is_empty(), "{:#?}", self.page.complaints);
        let own = format!("{}/", self.address);
        let is_foreign = |it: &&String| !it.starts_with(&own) && !it.starts_with("data:");
        let foreign: Vec<&String> = self.page.asked.iter().filter(is_foreign).collect();
        assert!(foreign.is_empty() && !self.page.asked.is_empty(), "asked others: {foreign:?}");
    }

    /// Nothing was in anybody's way, and nothing complained.
    async fn ends(mut self) {
        assert!(self.barriers.is_empty(), "{}", self.barriers.join("\n"));
        self.is_quiet();
        self.page.close().await;
    }

    /// Looks at what is shown now on a phone and on a desk, light and dark, without loading it anew.
    async fn look_at(&mut self, what: &str) {
        let pictures = std::env::var_os("BOLTGRID_PICTURES").map(PathBuf::from);
        for (width, device, theme) in [
            (360, "phone", "light"),
            (360, "phone", "dark"),
            (1440, "desk", "dark"),
            (1440, "desk", "light"),
        ] {
            self.page.look(width, theme).await;
            let what = format!("{what}-{device}-{theme}");
            self.check(&what, width).await;
            if let Some(folder) = &pictures {
                draw(self, folder, &what).await;
            }
        }
    }

    /// Notes where a page cannot be used by everybody, or is wider than its window.
    async fn check(&mut self, what: &str, width: u32) {
        self.page.eval(AXE).await;
        let script = "axe.run(document, {resultTypes: ['violations']}).then((it) => it.violations\
            .filter((it) => ['serious', 'critical'].includes(it.impact))\
            .map((it) => it.id + ': ' + it.nodes.map((node) => node.html + ' ' + \
            node.failureSummary).join(' | ')))";
        let found = self.page.eval(script).await;
        if found != json!([]) {
            self.barriers.push(format!("{what}: {found:#}"));
        }
        let wide = self.page.eval("document.documentElement.scrollWidth").await;
        if wide.as_u64() > Some(width.into()) {
            self.barriers.push(format!("{what} is {wide} wide"));
        }
    }
}

#[tokio::test]
async fn a_household_looks_at_its_node_in_a_browser() {
    let Some(program) = browser::program() else {
        eprintln!("NOT CHECKED: there is no Chromium here, so nobody looked at the dashboard");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    // A summer's noon, when the sun gives.
    let args = ["--nodes", "4", "--interval-ms", "10000", "--miners"];
    let world = World::start(folder.path(), &args).await;
    let site = world.site_with_machines();
    let page = Page::open(&program, &folder.path().join("browser")).await;
    let mut visit = Visit { page, address: world.address(&site), barriers: Vec::new() };

    whoever_is_not_known_signs_in_first(&mut visit, &world.token(&site, "owner", Role::Admin))
        .await;
    what_is_shown_lives(&mut visit).await;
    curves_of_any_interval_are_looked_at(&mut visit).await;
    a_limit_is_set_and_taken_into_the_next_order(&mut visit).await;
    a_machine_does_as_its_owner_says(&mut visit).await;
    a_channel_is_opened(&mut visit).await;
    the_connection_carries_what_flows(&mut visit).await;
    every_page_is_drawn_and_checked(&mut visit).await;
    measure::paints(&mut visit, &PAGES.map(|(name, _)| name)).await;
    measure::chart(&mut visit).await;
    who_may_only_look_changes_nothing(&mut visit, &world.token(&site, "wall", Role::Read)).await;
    visit.ends().await;
    let page = Page::open(&program, &folder.path().join("another-browser")).await;
    overview::is_looked_at(page, &world).await;
    let page = Page::open(&program, &folder.path().join("new-browser")).await;
    first_run::from_nothing_to_a_metering_node(page, &world, folder.path()).await;
    world.end().await;
}

async fn whoever_is_not_known_signs_in_first(visit: &mut Visit, token: &str) {
    visit.go("").await;
    assert_eq!(visit.page.eval("location.pathname").await, "/login");
    visit.page.look(1440, "light").await;
    visit.check("sign-in", 1440).await;
    // A refusal is an answer with an error's status, which browsers write to their console.
    visit.sign_in("wrong").await;
    visit.page.until("document.querySelector('.notice.bad')").await;
    visit.page.complaints.retain(|it| !it.contains("401"));
    visit.sign_in(token).await;
    visit.page.until("document.querySelector('#sentence')").await;
    assert_eq!(visit.page.eval("location.pathname").await, "/");
    assert_eq!(visit.page.eval("document.cookie").await, "", "no script sees the session");
}

/// The page changes by itself, without being loaded again.
async fn what_is_shown_lives(visit: &mut Visit) {
    visit.page.until("document.querySelector('[data-value=house]')").await;
    visit.page.eval("window.isOld = true").await;
    let before = visit.page.text(".flow").await;
    let script = format!("document.querySelector('.flow').textContent.trim() !== {before:?}");
    visit.page.until(&script).await;
    assert_eq!(visit.page.eval("window.isOld").await, true, "it was loaded anew");
    visit.page.until("document.querySelector('[data-value=price]')").await;
}

async fn curves_of_any_interval_are_looked_at(visit: &mut Visit) {
    visit.go("market").await;
    visit.page.until("document.querySelector('.curve .supply')?.getAttribute('d')").await;
    // There must have been two auctions; in the first there may have been no orders, and so no curves.
    let has_curves = "Boolean(document.querySelector('.curve .demand, .curve .supply'))";
    for attempt in 1.. {
        visit.page.until_loaded_anew("document.querySelector('a[rel=prev]')").await;
        let shown = "document.querySelector('#interval').dataset.interval";
        let interval = visit.page.eval(shown).await;
        visit.page.send("a[rel=prev]").await;
        let earlier = visit.page.eval(shown).await;
        let number = |it: &serde_json::Value| it.as_str().unwrap().parse::<u64>().unwrap();
        assert!(number(&earlier) < number(&interval), "{earlier} is before {interval}");
        if visit.page.eval(has_curves).await == true {
            break;
        }
        assert!(attempt < LOOKS_MAX, "interval {earlier} has no curves either");
        tokio::time::sleep(LOOK_AGAIN).await;
        visit.go("market").await;
    }
    visit.go("market?interval=1").await;
    visit.page.until("document.querySelector('a[rel=next]')").await;
}

async fn a_limit_is_set_and_taken_into_the_next_order(visit: &mut Visit) {
    visit.go("settings").await;
    visit.page.fill("#buy_at_most", "1e3").await;
    visit.page.send("button[value=save]").await;
    visit.page.until("document.querySelector('.notice.bad')").await;
    visit.page.fill("#buy_at_most", "3.217").await;
    visit.page.send("button[value=save]").await;
    visit.page.until("document.querySelector('.notice.good')").await;
    visit.page.until("document.querySelector('tbody').innerText.includes('3.217')").await;
    visit.go("").await;
    visit.page.until("document.querySelector('.steps')?.innerText.includes('3.2')").await;
}

async fn a_machine_does_as_its_owner_says(visit: &mut Visit) {
    visit.go("miners").await;
    visit.page.until("document.querySelector('[data-machine]')").await;
    visit.page.fill("#power_w", "0").await;
    visit.page.fill("#for_minutes", "5").await;
    visit.page.send("button[value=decide]").await;
    visit.page.until("document.querySelector('.notice.good')").await;
    let own = "document.querySelector('[data-machine] [data-reason]').innerText.includes('owner')";
    visit.page.until(own).await;
    visit.page.send("button[value=plan]").await;
    visit.page.until(&format!("!{own}")).await;
}

/// It is said what a channel costs before it is opened, and that there is not enough where there is not.
async fn a_channel_is_opened(visit: &mut Visit) {
    visit.go("money").await;
    // Members are known once their records were heard.
    visit.page.until_loaded_anew("document.querySelector('#counterparty option')").await;
    visit.page.fill("#size_sat", "4000000000").await;
    visit.page.send("button[value=try]").await;
    visit.page.until("document.querySelector('#opening .bad')").await;
    assert_eq!(visit.page.eval("document.querySelector('button[value=open]')").await, json!(null));
    visit.go("money").await;
    visit.page.fill("#size_sat", "200 000").await;
    visit.page.send("button[value=try]").await;
    visit
        .page
        .until("/^[1-9]/.test(document.querySelector('[data-value=open-fee]')?.innerText)")
        .await;
    // What the testnet's chain says; and not what is taken where a chain says nothing.
    let rate = "document.querySelector('[data-value=open-fee-at]').textContent";
    assert_eq!(visit.page.eval(&format!("{rate}.includes(' 1 sat/vB')")).await, json!(true));
    visit.look_at("opening").await;
    let channels = "document.querySelectorAll('.channel').length";
    let before = visit.page.eval(channels).await;
    visit.page.send("button[value=open]").await;
    visit.page.until("document.querySelector('.notice.good')").await;
    visit.go("money").await;
    visit.page.until_loaded_anew(&format!("{channels} > {before}")).await;
}

/// What flows through the grid's connection is known once readings of an interval are there.
async fn the_connection_carries_what_flows(visit: &mut Visit) {
    visit.go("grid").await;
    let carries = "!['', '0 W'].includes(document.querySelector('[data-value=line]')?.innerText\
        .replace('\u{202f}', ' ') ?? '')";
    visit.page.until_loaded_anew(carries).await;
}

/// A tablet on the wall is shown everything and no button, and what it sends all the same is refused.
async fn who_may_only_look_changes_nothing(visit: &mut Visit, token: &str) {
    visit.page.look(1440, "light").await;
    visit.page.send("form[action=logout] button").await;
    visit.sign_in(token).await;
    visit.page.until("document.querySelector('[data-value=house]')").await;
    visit.page.until("document.querySelector('footer').innerText.includes('look only')").await;
    for (name, button) in [
        ("miners", "button[value=decide]"),
        ("money", "button[value=try]"),
        ("settings", "button[value=save]:enabled"),
    ] {
        visit.go(name).await;
        visit.page.until("document.querySelector('h1')").await;
        let there = format!("document.querySelector('{button}') !== null");
        assert_eq!(visit.page.eval(&there).await, false, "{name}");
    }
    visit.look_at("settings-read-only").await;
    for (name, form) in [
        ("settings", "trade=on&buy_at_most=1&sell_at_least=&reserve=0&what=save"),
        ("miners", "machine=rack-a1&power_w=0&for_minutes=5&what=decide"),
        ("money", "counterparty=00&size_sat=1&what=open"),
    ] {
        let script = format!(
            "fetch('{name}', {{method: 'POST', body: new URLSearchParams('{form}')}})\
             .then((it) => it.text())"
        );
        let answer = visit.page.eval(&script).await;
        let answer = answer.as_str().unwrap();
        assert!(answer.contains("may only look"), "{name}: {answer}");
    }
}

async fn every_page_is_drawn_and_checked(visit: &mut Visit) {
    let pictures = std::env::var_os("BOLTGRID_PICTURES").map(PathBuf::from);
    for (name, is_there) in PAGES {
        for (width, device) in [(360, "phone"), (1440, "desk")] {
            for theme in ["light", "dark"] {
                visit.page.look(width, theme).await;
                visit.go(name).await;
                visit.page.until(is_there).await;
                let name = if name.is_empty() { "now" } else { name };
                let what = format!("{name}-{device}-{theme}");
                visit.check(&what, width).await;
                if let Some(folder) = &pictures {
                    draw(visit, folder, &what).await;
                }
            }
        }
    }
}

async fn draw(visit: &mut Visit, folder: &Path, what: &str) {
    std::fs::create_dir_all(folder).unwrap();
    visit.page.draw(&folder.join(format!("{what}.png"))).await;
}
