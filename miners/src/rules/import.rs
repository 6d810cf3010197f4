//! Policies of Edge Mining (github.com/edge-mining/core, YAML), as rules of this house.
//!
//! What such a policy says and what it did are two things: some of its fields are methods or objects
//! that are never equal to anything, and a name that it does not know counts as false, so that under
//! `not_` it counts as true. Rules that could never have fired, or always would have, are not
//! imported but reported with the reason. The names and their behaviour were found by running release
//! 64cd933 (August 2025). Not for: metadata, or ids.

mod field;
mod translate;
mod yaml;

use super::read_rules;
use yaml::{Node, Yaml};

/// Stop rules of a policy come before all its start rules.
const STOPS_FIRST: i64 = 1_000_000;

/// A file that is no policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct ImportRejected {
    /// Counted from 1.
    pub line: usize,
    /// What is wrong.
    pub problem: String,
}

/// What became of one rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is imported.
    Imported,
    /// It could never have fired.
    Dead,
    /// It would have fired always, since something unknown stood under `not_`.
    AlwaysFired,
    /// It was switched off.
    Disabled,
    /// It means something that rules here don't know.
    NotExpressible,
}

/// One rule of the policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reported {
    /// Where it begins.
    pub line: usize,
    /// Its name.
    pub rule: String,
    /// What became of it.
    pub fate: Fate,
    /// Why, and what else is remarkable, each with its line.
    pub reasons: Vec<String>,
}

/// A policy as rules, and what became of each of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// A file of rules that [`read_rules`] takes.
    pub toml: String,
    /// Each rule of the policy, start rules first.
    pub report: Vec<Reported>,
}

/// Reads a policy.
///
/// # Errors
///
/// [`ImportRejected`] where the file is no YAML of the kind that policies are, or has neither start nor
/// stop rules.
pub fn import_policy(text: &str) -> Result<Imported, ImportRejected> {
    if text.len() > super::FILE_BYTES_MAX {
        return Err(ImportRejected { line: 1, problem: "the file is too long".to_owned() });
    }
    let policy = yaml::parse(text)?;
    let lists = [("start_rules", "run"), ("stop_rules", "stop")];
    if lists.iter().all(|(key, _)| policy.get(key).is_none()) {
        let problem = "it has neither start_rules nor stop_rules".to_owned();
        return Err(ImportRejected { line: policy.line, problem });
    }
    let mut imported = Imported { toml: String::new(), report: Vec::new() };
    for (key, action) in lists {
        for rule in policy.get(key).map_or(&[][..], Node::items) {
            one(rule, action, &mut imported);
        }
    }
    Ok(imported)
}

fn one(rule: &Node, action: &str, imported: &mut Imported) {
    let text = |key| rule.get(key).and_then(Node::text).unwrap_or("");
    let name = if text("name").is_empty() {
        format!("line {}", rule.line)
    } else {
        text("name").to_owned()
    };
    let mut reported =
        Reported { line: rule.line, rule: name.clone(), fate: Fate::Imported, reasons: Vec::new() };
    let said = format!("{} {}", text("name"), text("description")).to_lowercase();
    if matches!(text("enabled"), "false" | "False" | "no" | "off") {
        reported.fate = Fate::Disabled;
    } else if let Some(conditions) = rule.get("conditions") {
        let found = translate::translate(conditions, &said, &mut reported.reasons);
        reported.fate = match found {
            translate::Found::Never => Fate::Dead,
            translate::Found::Always => Fate::AlwaysFired,
            translate::Found::NotExpressible => Fate::NotExpressible,
            translate::Found::Live(condition) => {
                let priority: i64 = text("priority").parse().unwrap_or(0);
                let first = if action == "stop" { STOPS_FIRST } else { 0 };
                let written = written(&name, action, priority.saturating_add(first), &condition);
                keep(written, imported, &mut reported)
            }
        };
    } else {
        reported.fate = Fate::Dead;
        reported.reasons.push(format!("line {}: it has no conditions", rule.line));
    }
    imported.report.push(reported);
}

fn written(name: &str, action: &str, priority: i64, condition: &str) -> String {
    let name: String = name.chars().filter(|it| !it.is_control()).take(60).collect();
    let name = name.replace('\\', "/").replace('"', "'");
    format!(
        "[[rules]]\nname = \"{name}\"\npriority = {priority}\naction = \"{action}\"\nwhen = {condition}\n\n"
    )
}

/// Keeps a rule if rules here take it beside those that are kept.
fn keep(written: String, imported: &mut Imported, reported: &mut Reported) -> Fate {
    let together = format!("{}{written}", imported.toml);
    match read_rules(&together) {
        Ok(_) => {
            imported.toml = together;
            Fate::Imported
        }
        Err(rejected) => {
            let messages = rejected.faults.into_iter().map(|fault| fault.message);
            let messages: Vec<String> = messages.collect();
            let never = messages.iter().any(|message| message.contains("never"));
            reported.reasons.extend(messages);
            if never { Fate::Dead } else { Fate::NotExpressible }
        }
    }
}

/// A scalar or a list as text, for messages.
fn shown(node: &Node) -> String {
    match &node.value {
        Yaml::Scalar(text) => text.clone(),
        Yaml::List(items) => {
            let items: Vec<String> = items.iter().map(shown).collect();
            format!("[{}]", items.join(", "))
        }
        Yaml::Map(_) => "a mapping".to_owned(),
    }
}

#[cfg(test)]
mod tests;
