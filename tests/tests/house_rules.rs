//! The rules of the house as tests, so that `cargo test` keeps the style and nobody has to argue it.
//!
//! Each reads the repository as text. Not for: what rustfmt, rustc and clippy check by themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

/// Longest file.
const LINES_MAX: usize = 600;
/// Beyond this a file is looked at.
const LINES_WANTED: usize = 400;

/// Which packages of the house each package may depend on, for tests and builds too.
const ARROWS: [(&str, &[&str]); 7] = [
    ("boltgrid-protocol", &[]),
    ("boltgrid-market", &["boltgrid-protocol"]),
    ("boltgrid-metering", &["boltgrid-protocol"]),
    ("boltgrid-miners", &["boltgrid-protocol"]),
    ("boltgrid", &["boltgrid-protocol", "boltgrid-market", "boltgrid-metering", "boltgrid-miners"]),
    (
        "boltgrid-testnet",
        &[
            "boltgrid-protocol",
            "boltgrid-market",
            "boltgrid-metering",
            "boltgrid-miners",
            "boltgrid",
        ],
    ),
    (
        "boltgrid-tests",
        &[
            "boltgrid-protocol",
            "boltgrid-market",
            "boltgrid-metering",
            "boltgrid-miners",
            "boltgrid",
            "boltgrid-testnet",
        ],
    ),
];

/// Names that say nothing about what is inside.
const EMPTY_NAMES: [&str; 8] =
    ["util", "utils", "common", "helper", "helpers", "manager", "managers", "misc"];

/// Versions below which an advisory was published against a node that listens to strangers, or that
/// holds money.
const FLOORS: [(&str, [u64; 3]); 4] = [
    ("libp2p-gossipsub", [0, 50, 1]),
    ("yamux", [0, 13, 10]),
    ("quinn-proto", [0, 11, 15]),
    ("lightning", [0, 2, 5]),
];

fn root() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().expect("the package lies in the repository").to_path_buf()
}

fn read(path: &Path) -> String {
    let text = fs::read_to_string(path);
    assert!(text.is_ok(), "{} cannot be read", path.display());
    text.unwrap_or_default()
}

fn table(path: &Path) -> Table {
    let table = read(path).parse::<Table>();
    assert!(table.is_ok(), "{} is not TOML", path.display());
    table.unwrap_or_default()
}

/// The folders of the workspace's members.
fn members() -> Vec<PathBuf> {
    let manifest = table(&root().join("Cargo.toml"));
    let members = manifest["workspace"]["members"].as_array().expect("a list of members");
    members.iter().map(|member| root().join(member.as_str().expect("a folder"))).collect()
}

/// Every Rust file of the repository with its path from the root.
fn rust_files() -> BTreeMap<String, String> {
    fn walk(folder: &Path, files: &mut BTreeMap<String, String>) {
        for entry in fs::read_dir(folder).expect("a folder of the repository") {
            let path = entry.expect("an entry of the folder").path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if path.is_dir() && name != "target" && !name.starts_with('.') {
                walk(&path, files);
            } else if name.ends_with(".rs") {
                let place = path.strip_prefix(root()).expect("inside the root");
                files.insert(place.display().to_string(), read(&path));
            }
        }
    }
    let mut files = BTreeMap::new();
    walk(&root(), &mut files);
    assert!(files.contains_key("tests/tests/house_rules.rs"), "this file was not found");
    files
}

/// Fails and lists what breaks the rule.
fn none(rule: &str, broken: &[String]) {
    assert!(broken.is_empty(), "{rule}:\n  {}", broken.join("\n  "));
}

/// The files of which `breaks` says what is wrong.
fn files_where(breaks: impl Fn(&str, &str) -> bool) -> Vec<String> {
    let files = rust_files().into_iter().filter(|(place, text)| breaks(place, text));
    files.map(|(place, _)| place).collect()
}

/// Whether `word` stands in `text` with no letter, digit or underscore beside it.
fn names(text: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word).any(|(at, _)| {
        !text[..at].ends_with(is_part) && !text[at + word.len()..].starts_with(is_part)
    })
}

/// The lines that are not comments.
fn code(text: &str) -> String {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

/// The packages of the house that a manifest depends on, wherever it says so.
fn house_dependencies(manifest: &Table) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (key, value) in manifest {
        let Value::Table(inner) = value else { continue };
        if key.ends_with("dependencies") {
            for (name, dependency) in inner {
                let package = dependency.get("package").and_then(Value::as_str).unwrap_or(name);
                if package.starts_with("boltgrid") || dependency.get("path").is_some() {
                    found.insert(package.to_owned());
                }
            }
        } else {
            // `[target.….dependencies]` and the like.
            found.extend(house_dependencies(inner));
        }
    }
    found
}

#[test]
fn dependencies_point_one_way() {
    let arrows = BTreeMap::from(ARROWS);
    let mut broken = Vec::new();
    for member in members() {
        let manifest = table(&member.join("Cargo.toml"));
        let package = manifest["package"]["name"].as_str().expect("a name");
        let Some(allowed) = arrows.get(package) else {
            broken.push(format!("{package} is new: give it its place in ARROWS"));
            continue;
        };
        for dependency in house_dependencies(&manifest) {
            if !allowed.contains(&dependency.as_str()) {
                broken.push(format!("{package} -> {dependency}"));
            }
        }
    }
    none("only protocol <- {market, metering, miners} <- node <- {testnet, tests}", &broken);
}

#[test]
fn the_pure_crates_ban_the_same_things() {
    let [protocol, market] =
        ["protocol", "market"].map(|member| table(&root().join(member).join("clippy.toml")));
    assert_eq!(protocol, market, "protocol/clippy.toml and market/clippy.toml differ");
}

#[test]
fn every_member_keeps_the_lints_of_the_house() {
    let broken: Vec<String> = members()
        .into_iter()
        .filter(|member| {
            let manifest = table(&member.join("Cargo.toml"));
            let lints = manifest.get("lints").and_then(|lints| lints.get("workspace"));
            lints.and_then(Value::as_bool) != Some(true)
        })
        .map(|member| member.display().to_string())
        .collect();
    none("every member has `[lints] workspace = true`", &broken);
}

#[test]
fn every_file_opens_with_what_it_is_for() {
    let broken = files_where(|_, text| !text.starts_with("//! "));
    none("every file opens with `//!` and a sentence", &broken);
}

#[test]
fn no_file_is_longer_than_six_hundred_lines() {
    for (place, text) in rust_files() {
        let lines = text.lines().count();
        if lines > LINES_WANTED {
            println!("{place} has {lines} lines; could it be two files?");
        }
    }
    none("a file is too long", &files_where(|_, text| text.lines().count() > LINES_MAX));
}

#[test]
fn no_file_or_module_has_a_name_that_says_nothing() {
    let is_empty = |name: &str| EMPTY_NAMES.contains(&name);
    let broken = files_where(|place, text| {
        let folders = place.split('/').any(|part| is_empty(part.trim_end_matches(".rs")));
        let modules = text.lines().any(|line| {
            let module = line.trim().split_once("mod ").map(|(_, rest)| rest);
            module.is_some_and(|rest| is_empty(rest.trim_end_matches([';', '{', ' '])))
        });
        folders || modules
    });
    none("a file or module is named for nothing", &broken);
}

#[test]
fn nothing_is_left_to_do() {
    let left = [concat!("todo", "!("), concat!("unimplemented", "!("), concat!("TO", "DO")];
    let broken = files_where(|_, text| left.iter().any(|left| text.contains(left)));
    none("something is left to do", &broken);
}

#[test]
fn only_the_codec_names_the_encoding_library() {
    let library = concat!("bin", "code");
    let broken =
        files_where(|place, text| place != "protocol/src/codec.rs" && names(text, library));
    none("only protocol/src/codec.rs turns values into bytes", &broken);
    let broken: Vec<String> = members()
        .into_iter()
        .filter(|member| !member.ends_with("protocol"))
        .filter(|member| names(&read(&member.join("Cargo.toml")), library))
        .map(|member| member.display().to_string())
        .collect();
    none("only protocol depends on it", &broken);
}

#[test]
fn only_the_store_names_its_databases() {
    let databases = [concat!("sl", "ed"), concat!("rusq", "lite")];
    let broken = files_where(|place, text| {
        let store = ["node/src/store", "node/tests/store"];
        let text = code(text);
        !store.iter().any(|store| place.starts_with(store))
            && databases.iter().any(|database| names(&text, database))
    });
    none("only node/src/store and its tests name a database", &broken);
}

#[test]
fn only_the_lightning_module_of_the_node_names_its_library() {
    let library = concat!("ldk", "_node");
    let broken = files_where(|place, text| {
        let lightning =
            place == "node/src/lightning.rs" || place.starts_with("node/src/lightning/");
        place.starts_with("node/src/") && !lightning && names(&code(text), library)
    });
    none("only node/src/lightning names it", &broken);
}

/// The numbers of the rules that `text` names: `P` and digits, standing alone.
fn rules_in(text: &str) -> BTreeSet<u32> {
    let words = text.split(|c: char| !c.is_alphanumeric() && c != '_');
    words.filter_map(|word| word.strip_prefix('P')?.parse().ok()).collect()
}

#[test]
fn every_rule_of_the_protocol_is_numbered_once_without_gaps() {
    let text = read(&root().join("protocol/PROTOCOL.md"));
    let numbers: Vec<u32> = text
        .lines()
        .filter_map(|line| line.strip_prefix("### P")?.split_whitespace().next()?.parse().ok())
        .collect();
    let expected: Vec<u32> = (1..).take(numbers.len()).collect();
    assert_eq!(numbers, expected, "the headings `### P<n> …` of PROTOCOL.md");
    assert!(!numbers.is_empty());
}

#[test]
fn every_rule_that_code_cites_is_in_the_protocol() {
    let text = read(&root().join("protocol/PROTOCOL.md"));
    let headings = text.lines().filter(|line| line.starts_with("### P"));
    let rules = headings.flat_map(rules_in).collect();
    let mut broken = Vec::new();
    for (place, text) in rust_files() {
        let comments: Vec<&str> =
            text.lines().filter(|line| line.trim_start().starts_with("//")).collect();
        for number in rules_in(&comments.join("\n")).difference(&rules) {
            broken.push(format!("{place} cites P{number}"));
        }
    }
    none("PROTOCOL.md has no such rule", &broken);
}

/// What of a lock file is below its floor. Every locked version counts: an old one beside a new one
/// is still run.
fn below_floors(lock: &Table) -> Vec<String> {
    let packages = lock["package"].as_array().expect("a list of packages");
    let text = |package: &Value, key: &str| package[key].as_str().unwrap_or_default().to_owned();
    let mut broken = Vec::new();
    for (name, floor) in FLOORS {
        let named = packages.iter().filter(|package| text(package, "name") == name);
        let locked: Vec<String> = named.map(|package| text(package, "version")).collect();
        if locked.is_empty() {
            broken.push(format!("{name} is not locked: is its floor still needed?"));
        }
        for version in locked {
            // One that is about to be the floor is not it yet.
            let is_early = version.contains('-');
            let release = version.split(['-', '+']).next().unwrap_or_default();
            let parts: Vec<u64> = release.split('.').filter_map(|part| part.parse().ok()).collect();
            let is_above = parts.as_slice() > floor.as_slice();
            if !is_above && (is_early || parts.as_slice() != floor.as_slice()) {
                broken.push(format!("{name} {version} is below {floor:?}"));
            }
        }
    }
    broken
}

#[test]
fn locked_versions_are_above_the_floors_of_published_advisories() {
    none("update these", &below_floors(&table(&root().join("Cargo.lock"))));
}

#[test]
fn one_old_version_beside_new_ones_is_below_the_floor() {
    let broken = |versions: &[(&str, &str)]| {
        let packages = versions.iter().map(|(name, version)| {
            format!("[[package]]\nname = \"{name}\"\nversion = \"{version}\"\n")
        });
        let text = packages.collect::<String>();
        below_floors(&text.parse().expect("it is TOML")).len()
    };
    let good = [
        ("libp2p-gossipsub", "0.50.1"),
        ("yamux", "0.14.1"),
        ("quinn-proto", "0.11.15"),
        ("lightning", "0.2.5"),
    ];
    let with = |name, version| [good.as_slice(), &[(name, version)]].concat();
    assert_eq!(broken(&good), 0);
    assert_eq!(broken(&with("yamux", "0.13.10")), 0);
    assert_eq!(broken(&with("yamux", "0.13.9")), 1);
    assert_eq!(broken(&with("yamux", "0.13.10-alpha.1")), 1);
    assert_eq!(broken(&with("libp2p-gossipsub", "0.49.5")), 1);
    assert_eq!(broken(&with("lightning", "0.2.4")), 1);
    assert_eq!(broken(&with("lightning", "0.3.0+git")), 0);
    assert_eq!(broken(&good[1..]), 1, "not locked at all");
}
