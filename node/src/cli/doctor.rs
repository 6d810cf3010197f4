//! `boltgrid doctor`: looks at everything that a node needs, says of each whether it is well, and what to do
//! where it is not. It changes nothing, and works with the node running and without.
//! Not for: watching (docs/alerts.md), or showing numbers (`boltgrid status`).

mod folder;
mod running;

use std::io::Write;
use std::path::Path;

use clap::Args;
use serde::Serialize;

use super::error::CliError;
use super::node::Node;
use super::show;
use crate::config::{Config, RawConfig};

/// Arguments of `doctor`.
#[derive(Debug, Args)]
pub(super) struct Doctor {
    #[command(flatten)]
    node: Node,
}

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    /// As it should be.
    Ok,
    /// It works, but should be looked at, or it is not known.
    Warning,
    /// The node does not do what it is there for.
    Trouble,
}

/// What was found of one thing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Finding {
    /// The thing: config, permissions, disk, clock, chain and so on.
    of: &'static str,
    verdict: Verdict,
    /// What was found.
    found: String,
    /// What to do; none where nothing is to be done.
    advice: Option<String>,
}

/// All that was found.
#[derive(Debug, Serialize)]
struct Report<'a> {
    worst: Verdict,
    findings: &'a [Finding],
}

impl Verdict {
    const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Trouble => "TROUBLE",
        }
    }
}

impl Finding {
    fn ok(of: &'static str, found: impl Into<String>) -> Self {
        Self { of, verdict: Verdict::Ok, found: found.into(), advice: None }
    }

    fn warning(of: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        let advice = Some(advice.into());
        Self { of, verdict: Verdict::Warning, found: found.into(), advice }
    }

    fn trouble(of: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        let advice = Some(advice.into());
        Self { of, verdict: Verdict::Trouble, found: found.into(), advice }
    }
}

impl Doctor {
    pub(super) fn run(self, out: &mut impl Write) -> Result<(), CliError> {
        let findings = findings(&self.node);
        let worst = findings.iter().map(|it| it.verdict).max().unwrap_or(Verdict::Ok);
        if self.node.json {
            show::json(out, &Report { worst, findings: &findings })?;
        } else {
            findings.iter().try_for_each(|it| line(out, it))?;
        }
        let troubles = findings.iter().filter(|it| it.verdict == Verdict::Trouble).count();
        if troubles == 0 { Ok(()) } else { Err(CliError::Unwell(troubles)) }
    }
}

fn findings(node: &Node) -> Vec<Finding> {
    let path = node.config_file();
    let config = match Config::load(path, RawConfig::default()) {
        Ok(config) => config,
        Err(error) => {
            let advice = "set the file right, or name another with --config; all else hangs on it";
            return vec![Finding::trouble("config", error.to_string(), advice)];
        }
    };
    let mut findings = vec![readable(path)];
    findings.extend(folder::look(&config));
    findings.extend(running::look(node, &config));
    findings
}

fn readable(path: &Path) -> Finding {
    Finding::ok("config", format!("{} is right", path.display()))
}

fn line(out: &mut impl Write, it: &Finding) -> Result<(), CliError> {
    writeln!(out, "{:<8} {:<12} {}", it.verdict.word(), it.of, it.found)?;
    if let Some(advice) = &it.advice {
        writeln!(out, "{:<8} {:<12} → {advice}", "", "")?;
    }
    Ok(())
}
