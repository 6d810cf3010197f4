//! The testnet's own page in a browser.

use super::Visit;
use super::browser::Page;
use super::world::World;

/// All nodes are there and live, the price has a curve, the last interval's trades are drawn once there
/// were any, and every node's dashboard is one click away.
pub(crate) async fn is_looked_at(page: Page, world: &World) {
    let mut visit = Visit { page, address: world.overview(), barriers: Vec::new() };
    visit.page.look(1440, "light").await;
    visit.go("").await;
    let count = world.sites.len();
    let all = format!("document.querySelectorAll('[data-node]').length === {count}");
    visit.page.until(&all).await;
    visit.page.until("Number(document.querySelector('[data-value=seen]')?.textContent) > 0").await;
    // It lives without being loaded anew.
    visit.page.eval("window.isOld = true").await;
    let seen = visit.page.text("[data-value=seen]").await;
    let more = format!("document.querySelector('[data-value=seen]').textContent > {seen}");
    visit.page.until(&more).await;
    assert_eq!(visit.page.eval("window.isOld").await, true, "it was loaded anew");
    for site in &world.sites {
        let link = format!("[data-node={site}] a");
        let link = visit.page.eval(&format!("document.querySelector('{link}').href")).await;
        assert_eq!(link, format!("{}/", world.address(site)));
        let power = visit.page.text(&format!("[data-node={site}] [data-power]")).await;
        assert!(power.ends_with("kW"), "{site}: {power}");
    }
    visit
        .page
        .until_loaded_anew("Number(document.querySelector('[data-chart]')?.dataset.drawn) > 0")
        .await;
    // Whether an interval has trades is the market's; that an interval is told of is certain.
    let told = "document.querySelector('.trades path, section .quiet')";
    visit.page.until(told).await;
    visit.look_at("testnet").await;
    visit.ends().await;
}
