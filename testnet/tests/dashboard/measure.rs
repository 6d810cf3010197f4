//! What the dashboard costs, printed where `BOLTGRID_MEASURE` is set: how soon a page is painted, how long
//! a chart of ten thousand points takes, and what a node with a page open takes of the machine.
//!
//! Numbers are for docs/dashboard.md, from a machine that does nothing else. Nothing is asserted of them.

use std::time::Duration;

use super::Visit;

/// Over which time a node is watched.
const WATCHED: Duration = Duration::from_secs(60);
/// Clock ticks of the kernel in a second, which Linux tells programs for ages (`getconf CLK_TCK`).
const TICKS_PER_S: u64 = 100;

/// Whether anything is to be measured.
pub(crate) fn is_wanted() -> bool {
    std::env::var_os("BOLTGRID_MEASURE").is_some()
}

/// How soon each page is painted first, the best and the worst of five loads.
pub(crate) async fn paints(visit: &mut Visit, pages: &[&str]) {
    if !is_wanted() {
        return;
    }
    visit.page.look(1440, "light").await;
    for name in pages {
        let mut all = Vec::new();
        for _ in 0..5 {
            visit.go(name).await;
            let painted = "performance.getEntriesByName('first-contentful-paint').length > 0";
            visit.page.until(painted).await;
            let at = "performance.getEntriesByName('first-contentful-paint')[0].startTime";
            all.push(visit.page.eval(at).await.as_f64().unwrap());
        }
        all.sort_by(f64::total_cmp);
        eprintln!("first paint of /{name}: {:.0} to {:.0} ms", all[0], all[4]);
    }
}

/// How long a chart of ten thousand points takes to be drawn, and to be drawn again at another zoom.
pub(crate) async fn chart(visit: &mut Visit) {
    if !is_wanted() {
        return;
    }
    visit.go("market").await;
    visit.page.until("window.uPlot").await;
    let script = "(async () => {
        const times = Array.from({length: 10000}, (_, place) => 1.6e9 + place * 300);
        const data = [times, times.map((_, it) => Math.sin(it / 99)), times.map((_, it) => it % 97)];
        const place = document.body.appendChild(document.createElement('div'));
        const frame = () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
        const timed = async (what) => { const at = performance.now(); const it = what(); await frame(); return [performance.now() - at, it]; };
        const series = [{}, {stroke: 'red'}, {stroke: 'blue'}];
        const [first, plot] = await timed(() => new uPlot({width: 1000, height: 300, series}, data, place));
        const [again] = await timed(() => plot.setScale('x', {min: times[1000], max: times[9000]}));
        plot.destroy(); place.remove();
        return [first, again];
    })()";
    let took = visit.page.eval(script).await;
    eprintln!("10 000 points: drawn and zoomed in {took} ms, two frames of waiting in each");
}

/// What a process takes while the page Now is open in a browser.
pub(crate) async fn idle(visit: &mut Visit, pid: u32) {
    if !is_wanted() {
        return;
    }
    visit.go("").await;
    visit.page.until("document.querySelector('[data-value=house]')").await;
    let before = ticks(pid);
    tokio::time::sleep(WATCHED).await;
    let spent = ticks(pid).saturating_sub(before);
    let percent = spent * 10_000 / TICKS_PER_S / WATCHED.as_secs();
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let memory = status.lines().filter(|it| it.starts_with("VmRSS") || it.starts_with("VmHWM"));
    let memory: Vec<&str> = memory.collect();
    eprintln!(
        "a node with the page open: {}.{:02} % of a core; {memory:?}",
        percent / 100,
        percent % 100
    );
}

/// What a process has spent, in ticks.
fn ticks(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // The name in parentheses may hold spaces.
    let (_, rest) = stat.rsplit_once(") ").unwrap();
    let fields: Vec<&str> = rest.split(' ').collect();
    [11, 12].map(|place: usize| fields[place].parse::<u64>().unwrap()).iter().sum()
}
