//! What is to go wrong during a run, and when: the faults file and the order of its events.
//! Not for: carrying them out, which is the run's.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// Most faults of one run.
const FAULTS_MAX: usize = 1000;

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// A node is killed (SIGKILL) for good.
    Kill {
        /// Which one, counted from 0 in the order of the sites.
        node: usize,
    },
    /// A node is killed (SIGKILL) and started again.
    Restart {
        /// Which one.
        node: usize,
        /// How long it is gone.
        after_ms: u64,
    },
    /// A peer joins that sends what no honest node would.
    Hostile,
}

/// Something that goes wrong once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// In which interval's delivery, counted from 0 at the first one of the run.
    pub at_interval: u64,
    /// How long after that delivery has started.
    pub at_ms: u64,
    /// What.
    pub kind: FaultKind,
}

/// Why there are no faults to be had from a file.
#[derive(Debug, thiserror::Error)]
pub enum FaultsError {
    /// The file cannot be read.
    #[error("the faults file {} cannot be read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// Not TOML of faults.
    #[error("{}: {source}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What and where.
        source: Box<toml::de::Error>,
    },
    /// A fault that cannot be.
    #[error("{}: fault {number}: {problem}", path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// Which one, counted from 1.
        number: usize,
        /// What is wrong with it, and what would be right.
        problem: String,
    },
}

/// What is wrong with a fault, before anyone knows which one it is.
struct Problem(String);

impl From<&str> for Problem {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFaults {
    #[serde(default, rename = "fault")]
    faults: Vec<RawFault>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFault {
    at_interval: u64,
    #[serde(default)]
    at_ms: u64,
    kind: RawKind,
    node: Option<usize>,
    nodes: Option<Vec<usize>>,
    restart_after_ms: Option<u64>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum RawKind {
    Kill,
    Restart,
    Hostile,
}

/// Reads and checks the faults of a run of `nodes` nodes; they come out in the order of time.
///
/// # Errors
///
/// [`FaultsError`], naming file and fault.
pub fn load(path: &Path, nodes: usize, interval_ms: u64) -> Result<Vec<Fault>, FaultsError> {
    let text = fs::read_to_string(path)
        .map_err(|source| FaultsError::Read { path: path.to_owned(), source })?;
    let raw: RawFaults = toml::from_str(&text)
        .map_err(|source| FaultsError::Syntax { path: path.to_owned(), source: source.into() })?;
    let wrong = |(number, Problem(problem))| {
        let path = path.to_owned();
        FaultsError::Value { path, number, problem }
    };
    if raw.faults.len() > FAULTS_MAX {
        return Err(wrong((FAULTS_MAX + 1, "there are too many faults".into())));
    }
    let mut faults = Vec::new();
    for (number, raw) in (1..).zip(&raw.faults) {
        let checked = check(raw, nodes, interval_ms).map_err(|problem| wrong((number, problem)))?;
        faults.extend(checked.into_iter().map(|fault| (number, fault)));
    }
    faults.sort_by_key(|(_, fault)| (fault.at_interval, fault.at_ms));
    check_killed_once(&faults).map_err(wrong)?;
    Ok(faults.into_iter().map(|(_, fault)| fault).collect())
}

/// One fault for each of its nodes.
fn check(raw: &RawFault, nodes: usize, interval_ms: u64) -> Result<Vec<Fault>, Problem> {
    let RawFault { at_interval, at_ms, kind, restart_after_ms, .. } = *raw;
    if at_ms >= interval_ms {
        let problem = format!("at_ms must be below interval_ms ({interval_ms}), is {at_ms}");
        return Err(Problem(problem));
    }
    if (kind == RawKind::Restart) != restart_after_ms.is_some() {
        return Err("restart_after_ms goes with kind = \"restart\", and only with it".into());
    }
    let named = named(raw)?;
    if let Some(unknown) = named.iter().find(|node| **node >= nodes) {
        let problem = format!("there is no node {unknown}: they are 0 to {}", nodes - 1);
        return Err(Problem(problem));
    }
    let fault = |kind| Fault { at_interval, at_ms, kind };
    match (kind, restart_after_ms) {
        (RawKind::Hostile, _) if named.is_empty() => Ok(vec![fault(FaultKind::Hostile)]),
        (RawKind::Hostile, _) => Err("a hostile peer is no node: leave node and nodes out".into()),
        (RawKind::Kill | RawKind::Restart, _) if named.is_empty() => {
            Err("name a node, as in `node = 3`, or several, as in `nodes = [3, 4]`".into())
        }
        (RawKind::Kill | RawKind::Restart, after_ms) => {
            let kind = |node| match after_ms {
                Some(after_ms) => FaultKind::Restart { node, after_ms },
                None => FaultKind::Kill { node },
            };
            Ok(named.into_iter().map(|node| fault(kind(node))).collect())
        }
    }
}

/// The nodes of a fault, in the order of the file.
fn named(raw: &RawFault) -> Result<Vec<usize>, Problem> {
    let named = match (raw.node, &raw.nodes) {
        (Some(_), Some(_)) => return Err("give node or nodes, not both".into()),
        (Some(node), None) => vec![node],
        (None, nodes) => nodes.clone().unwrap_or_default(),
    };
    match (1..named.len()).find(|place| named[..*place].contains(&named[*place])) {
        Some(place) => Err(Problem(format!("node {} is named twice", named[place]))),
        None => Ok(named),
    }
}

/// A node that was killed for good has nothing left to go wrong.
fn check_killed_once(faults: &[(usize, Fault)]) -> Result<(), (usize, Problem)> {
    let mut gone = Vec::new();
    for (number, fault) in faults {
        let (FaultKind::Kill { node } | FaultKind::Restart { node, .. }) = fault.kind else {
            continue;
        };
        if gone.contains(&node) {
            return Err((*number, Problem(format!("node {node} was killed for good before"))));
        }
        if matches!(fault.kind, FaultKind::Kill { .. }) {
            gone.push(node);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODES: usize = 13;
    const INTERVAL_MS: u64 = 10_000;

    fn loaded(text: &str) -> Result<Vec<Fault>, FaultsError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("faults.toml");
        fs::write(&path, text).unwrap();
        load(&path, NODES, INTERVAL_MS)
    }

    #[test]
    fn faults_come_out_one_a_node_in_the_order_of_time() {
        let faults = loaded(
            "[[fault]]\nat_interval = 5\nkind = \"hostile\"\n\
             [[fault]]\nat_interval = 3\nat_ms = 2500\nkind = \"kill\"\nnodes = [4, 7]\n\
             [[fault]]\nat_interval = 3\nkind = \"restart\"\nnode = 2\nrestart_after_ms = 4000\n",
        );
        let fault = |at_interval, at_ms, kind| Fault { at_interval, at_ms, kind };
        let expected = [
            fault(3, 0, FaultKind::Restart { node: 2, after_ms: 4000 }),
            fault(3, 2500, FaultKind::Kill { node: 4 }),
            fault(3, 2500, FaultKind::Kill { node: 7 }),
            fault(5, 0, FaultKind::Hostile),
        ];
        assert_eq!(faults.unwrap(), expected);
    }

    #[test]
    fn an_empty_file_means_that_nothing_goes_wrong() {
        assert_eq!(loaded("").unwrap(), []);
    }

    #[test]
    fn errors_say_which_fault_is_wrong_and_what_would_be_right() {
        let check = |lines: &str, expected: &[&str]| {
            let error = loaded(&format!("[[fault]]\n{lines}")).unwrap_err().to_string();
            for part in ["faults.toml"].iter().chain(expected) {
                assert!(error.contains(part), "{lines}: {error}");
            }
        };
        check("at_interval = 1\nkind = \"freeze\"", &["unknown variant", "restart"]);
        check("at_interval = 1\nkind = \"kill\"\nnode = 1\nwho = 1", &["unknown field `who`"]);
        check("kind = \"kill\"\nnode = 1", &["at_interval"]);
        check("at_interval = 1\nkind = \"kill\"", &["fault 1", "name a node"]);
        check("at_interval = 1\nkind = \"kill\"\nnode = 13", &["no node 13", "0 to 12"]);
        check("at_interval = 1\nkind = \"kill\"\nnode = 1\nnodes = [2]", &["not both"]);
        check("at_interval = 1\nkind = \"kill\"\nnodes = [2, 2]", &["node 2 is named twice"]);
        check("at_interval = 1\nat_ms = 10000\nkind = \"kill\"\nnode = 1", &["below", "10000"]);
        check("at_interval = 1\nkind = \"restart\"\nnode = 1", &["restart_after_ms"]);
        check("at_interval = 1\nkind = \"hostile\"\nnode = 1", &["leave node and nodes out"]);
        check(
            "at_interval = 1\nkind = \"kill\"\nnode = 1\n\
             [[fault]]\nat_interval = 2\nkind = \"kill\"\nnode = 1",
            &["fault 2", "killed for good before"],
        );
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = load(Path::new("nowhere.toml"), NODES, INTERVAL_MS).unwrap_err().to_string();
        assert!(error.contains("nowhere.toml"), "{error}");
    }
}
