//! What operators look after a node with: the doctor, the level of its logs, an export, and the papers of shells.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::world::{Done, Running, boltgrid, enrolled, founded, set};

/// What the doctor says of one thing: the verdict, and what was found with what to do.
fn finding(done: &Done, of: &str) -> (String, String) {
    let report: Value = serde_json::from_str(&done.out).unwrap();
    let all = report["findings"].as_array().unwrap();
    let it =
        all.iter().find(|it| it["of"] == of).unwrap_or_else(|| panic!("{of} is not in {report}"));
    let text = |key: &str| it[key].as_str().unwrap_or_default().to_owned();
    (text("verdict"), text("found") + " → " + &text("advice"))
}

fn doctor(folder: &Path, more: &[&str]) -> Done {
    boltgrid(folder, &[&["doctor", "--json"], more].concat())
}

#[test]
fn the_doctor_looks_at_a_node_that_does_not_run() {
    let dir = founded();
    let elsewhere = ["--rpc", "127.0.0.1:1"];
    let stranger = doctor(dir.path(), &elsewhere);
    assert_eq!(stranger.code, 1, "no member is in trouble");
    let (verdict, text) = finding(&stranger, "grid");
    assert!(verdict == "trouble" && text.contains("boltgrid enrol request"), "{text}");

    let dir = enrolled();
    let well = doctor(dir.path(), &elsewhere);
    assert_eq!(well.code, 0, "{}", well.out);
    for (of, verdict) in
        [("config", "ok"), ("permissions", "ok"), ("grid", "ok"), ("node", "warning")]
    {
        assert_eq!(finding(&well, of).0, verdict, "{of}");
    }
    let key = dir.path().join("boltgrid/participant.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let open = doctor(dir.path(), &elsewhere);
    assert_eq!(open.code, 1);
    let (verdict, text) = finding(&open, "permissions");
    assert!(
        verdict == "trouble" && text.contains("participant.key") && text.contains("chmod 600"),
        "{text}"
    );
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();

    let said = boltgrid(dir.path(), &["doctor", "--rpc", "127.0.0.1:1"]).ok();
    assert!(
        said.contains("ok       permissions") && said.contains("→ start it with `boltgrid run`"),
        "{said}"
    );
    set(dir.path(), "# keep_days", "keep_dys");
    let wrong = doctor(dir.path(), &elsewhere);
    let (verdict, text) = finding(&wrong, "config");
    assert!(wrong.code == 1 && verdict == "trouble" && text.contains("keep_dys"), "{text}");
}

#[test]
fn the_doctor_asks_a_node_that_runs() {
    let dir = enrolled();
    let node = Running::start(dir.path(), &[]);
    let seen = doctor(dir.path(), &["--rpc", &node.rpc]);
    assert_eq!(seen.code, 1, "it measures nothing");
    let (verdict, text) = finding(&seen, "meters");
    assert!(verdict == "trouble" && text.contains("no meter settles"), "{text}");
    for (of, verdict) in [("node", "ok"), ("peers", "ok"), ("miners", "ok"), ("chain", "warning")] {
        assert_eq!(finding(&seen, of).0, verdict, "{of}");
    }
    assert!(seen.err.contains("one thing is in trouble"), "{}", seen.err);
}

#[test]
fn what_is_logged_changes_while_the_node_runs() {
    let dir = enrolled();
    let mut node = Running::start(dir.path(), &[]);
    let log = |more: &[&str]| boltgrid(dir.path(), &[&["log", "--rpc", &node.rpc], more].concat());
    assert!(log(&[]).ok().contains("logs  info"));
    let refused = log(&["loud=and=clear"]);
    assert_eq!(refused.code, 4);
    assert!(refused.err.contains("try \"info\""), "{}", refused.err);
    let set: Value = serde_json::from_str(&log(&["trace", "--json"]).ok()).unwrap();
    assert_eq!((&set["filter"], &set["format"]), (&Value::from("trace"), &"json".into()));
    assert!(log(&[]).ok().contains("logs  trace"));
    let is_told = |line: &String| line.contains("what is logged was changed");
    let line = node.log.by_ref().map(Result::unwrap).find(is_told).unwrap();
    let line: Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&line["level"], &line["by"]), (&Value::from("WARN"), &"cookie".into()));
    let is_detail = |line: &String| line.contains("\"TRACE\"");
    assert!(
        node.log.by_ref().map(Result::unwrap).any(|line| is_detail(&line)),
        "details are logged now"
    );
}

#[test]
fn everything_is_exported_in_either_form_and_nothing_is_overwritten() {
    let dir = enrolled();
    let node = Running::start(dir.path(), &[]);
    let export =
        |more: &[&str]| boltgrid(dir.path(), &[&["export", "--rpc", &node.rpc], more].concat());
    let said = export(&["csv"]).ok();
    let names = [
        "payments",
        "trades",
        "prices",
        "readings",
        "decisions",
        "disputes",
        "balances",
        "channels",
    ];
    for name in names {
        assert!(said.contains(&format!("csv/{name}.csv: ")), "{name} is not in {said}");
        assert!(dir.path().join(format!("csv/{name}.csv")).exists());
    }
    assert!(!said.contains("transactions"), "this node has no wallet");
    let again = export(&["csv", "--only", "channels"]);
    assert_eq!(again.code, 1);
    assert!(again.err.contains("channels.csv exists"), "{}", again.err);

    let only = ["parquet", "--format", "parquet", "--only", "prices,readings", "--json"];
    let said: Value = serde_json::from_str(&export(&only).ok()).unwrap();
    assert_eq!(said[1]["file"], "parquet/readings.parquet");
    assert_eq!(fs::read_dir(dir.path().join("parquet")).unwrap().count(), 2);
    let bytes = fs::read(dir.path().join("parquet/prices.parquet")).unwrap();
    assert!(bytes.starts_with(b"PAR1") && bytes.ends_with(b"PAR1"));
}

/// Every file in the Debian package that the program itself writes before, as (where it is, where it comes to).
fn assets_of_debian() -> Vec<(String, String)> {
    let manifest: toml::Table = toml::from_str(include_str!("../../Cargo.toml")).unwrap();
    let assets = manifest["package"]["metadata"]["deb"]["assets"].as_array().unwrap().clone();
    let text = |asset: &toml::Value, place: usize| asset[place].as_str().unwrap().to_owned();
    let papers = assets.iter().filter_map(|it| {
        let from = text(it, 0).strip_prefix("target/release/papers/")?.to_owned();
        Some((from, text(it, 1)))
    });
    papers.collect()
}

#[test]
fn the_debian_package_finds_the_pages_and_completions_that_are_written_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let papers = dir.path().join("papers");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/debian-papers.sh");
    let written = Command::new(script).arg(env!("CARGO_BIN_EXE_boltgrid")).arg(&papers).output();
    let written = written.unwrap();
    assert!(written.status.success(), "{written:?}");
    let places: BTreeMap<String, String> = assets_of_debian().into_iter().collect();
    let expected = [
        ("boltgrid.bash", "usr/share/bash-completion/completions/boltgrid"),
        ("boltgrid.fish", "usr/share/fish/vendor_completions.d/boltgrid.fish"),
        ("boltgrid.zsh", "usr/share/zsh/vendor-completions/_boltgrid"),
        ("man1/*.1", "usr/share/man/man1/"),
    ];
    assert_eq!(places, expected.map(|(from, to)| (from.to_owned(), to.to_owned())).into());
    for from in places.keys().filter(|it| !it.contains('*')) {
        let script = fs::read_to_string(papers.join(from)).unwrap();
        assert!(script.contains("topology"), "{from} knows the commands");
    }
    assert!(papers.join("man1/boltgrid.1").exists() && papers.join("man1/boltgrid-run.1").exists());
}

#[test]
fn shells_and_man_know_every_command() {
    let dir = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        let script = boltgrid(dir.path(), &["completions", shell]).ok();
        for word in ["doctor", "completions", "topology"] {
            assert!(script.contains(word), "{shell} does not know {word}");
        }
    }
    let script = dir.path().join("boltgrid.bash");
    fs::write(&script, boltgrid(dir.path(), &["completions", "bash"]).ok()).unwrap();
    let asks = format!(
        "source {}; COMP_WORDS=(boltgrid grid to); COMP_CWORD=2; _boltgrid boltgrid to grid; \
         echo ${{COMPREPLY[@]}}",
        script.display()
    );
    let completed = Command::new("bash").args(["--norc", "-c", &asks]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&completed.stdout).trim(), "topology", "{completed:?}");

    let said = boltgrid(dir.path(), &["man", "man1"]).ok();
    let page = fs::read_to_string(dir.path().join("man1/boltgrid-market-price.1")).unwrap();
    assert!(page.contains(".TH") && page.contains("beside the supplier"), "{page}");
    let count = fs::read_dir(dir.path().join("man1")).unwrap().count();
    assert!(count > 60 && said.contains(&format!("wrote {count} pages")), "{said}");
    assert!(
        fs::read_to_string(dir.path().join("man1/boltgrid.1"))
            .unwrap()
            .contains("boltgrid\\-doctor")
    );

    let said = boltgrid(dir.path(), &["man", "anew/man1", "--json"]).ok();
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(
        (&said["folder"], said["pages"].as_array().unwrap().len()),
        (&"anew/man1".into(), count)
    );
    for page in said["pages"].as_array().unwrap() {
        assert!(dir.path().join("anew/man1").join(page.as_str().unwrap()).exists(), "{page}");
    }
}
