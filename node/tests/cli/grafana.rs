//! The dashboard file for Grafana names only what a node shows at `/metrics`, and leaves nothing out.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::world::{Running, enrolled};

const DASHBOARD: &str = include_str!("../../../packaging/grafana/boltgrid.json");

/// The names in `text` that begin as all of ours do.
fn names(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("boltgrid_")).map(str::to_owned).collect()
}

/// The series that a page of metrics tells of: counters have `_total` behind the name of their family.
fn shown(page: &str) -> BTreeSet<String> {
    let families = page.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    families
        .map(|family| match family.split_once(' ').unwrap() {
            (name, "counter") => format!("{name}_total"),
            (name, _) => name.to_owned(),
        })
        .collect()
}

#[test]
fn every_metric_of_the_grafana_dashboard_is_a_nodes_and_every_metric_of_a_node_has_a_panel() {
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let titles: Vec<&str> = panels.iter().filter_map(|it| it["title"].as_str()).collect();
    for wanted in ["Price", "Power", "Agreement", "Payments", "Peers", "Miners"] {
        assert!(titles.contains(&wanted), "{titles:?}");
    }
    let mut named = BTreeSet::new();
    for panel in panels.iter().filter(|it| it["type"] != "row") {
        let targets = panel["targets"].as_array().unwrap();
        for target in targets {
            named.extend(names(target["expr"].as_str().unwrap()));
        }
        assert!(!targets.is_empty(), "{} shows nothing", panel["title"]);
    }

    let dir = enrolled();
    let node = Running::start(dir.path(), &[]);
    let (code, page) = node.get("/metrics");
    assert_eq!(code, 200);
    assert_eq!(named, shown(&page));
}
