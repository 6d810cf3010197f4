//! As much YAML as policies are written in: nested mappings and lists, scalars, quotes, comments, flat
//! lists in brackets. Anything else is refused with its line, never guessed at.
//! Not for: anchors, tags, several documents, or mappings in braces.

use super::ImportRejected;

/// Deepest nesting.
const DEPTH_MAX: usize = 32;
/// Most lines.
const LINES_MAX: usize = 10_000;

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) line: usize,
    pub(super) value: Yaml,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Yaml {
    Scalar(String),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

impl Node {
    /// The value under a key.
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        let Yaml::Map(entries) = &self.value else { return None };
        entries.iter().find(|(name, _)| name == key).map(|(_, node)| node)
    }

    pub(super) fn text(&self) -> Option<&str> {
        match &self.value {
            Yaml::Scalar(text) => Some(text),
            Yaml::List(_) | Yaml::Map(_) => None,
        }
    }

    pub(super) fn items(&self) -> &[Self] {
        match &self.value {
            Yaml::List(items) => items,
            Yaml::Scalar(_) | Yaml::Map(_) => &[],
        }
    }
}

struct Line<'a> {
    number: usize,
    indent: usize,
    text: &'a str,
}

/// Reads a document.
pub(super) fn parse(text: &str) -> Result<Node, ImportRejected> {
    let mut lines = Vec::new();
    for (place, raw) in text.lines().enumerate() {
        let number = place.saturating_add(1);
        let kept = without_comment(raw).trim_end();
        let body = kept.trim_start_matches(' ');
        if body.is_empty() || (body == "---" && lines.is_empty()) {
            continue;
        }
        if body.contains('\t') || body.starts_with(['&', '*', '!', '%', '{', '?']) {
            return Err(refused(
                number,
                "only plain YAML is read: no tabs, braces, tags or anchors",
            ));
        }
        if number > LINES_MAX {
            return Err(refused(number, "too long"));
        }
        lines.push(Line { number, indent: kept.len().saturating_sub(body.len()), text: body });
    }
    let mut at = 0;
    let node = block(&mut lines, &mut at, DEPTH_MAX)?;
    match lines.get(at) {
        Some(line) => {
            Err(refused(line.number, "it is indented differently from what stands above"))
        }
        None => Ok(node),
    }
}

fn refused(line: usize, problem: &str) -> ImportRejected {
    ImportRejected { line, problem: problem.to_owned() }
}

/// The line up to a comment, which begins it or follows a space outside quotes.
fn without_comment(line: &str) -> &str {
    let mut quote = None;
    let mut before = ' ';
    for (at, letter) in line.char_indices() {
        match (quote, letter) {
            (None, '#') if before == ' ' => return line.get(..at).unwrap_or(line),
            (None, '"' | '\'') if !before.is_alphanumeric() => quote = Some(letter),
            (Some(open), _) if letter == open => quote = None,
            _ => {}
        }
        before = letter;
    }
    line
}

/// The mapping or list that begins at a line.
fn block(lines: &mut [Line<'_>], at: &mut usize, depth: usize) -> Result<Node, ImportRejected> {
    let Some(first) = lines.get(*at) else { return Err(refused(1, "nothing is in it")) };
    let (number, indent) = (first.number, first.indent);
    if depth == 0 {
        return Err(refused(number, "nested too deep"));
    }
    let is_list = is_item(first.text);
    let (mut items, mut entries) = (Vec::new(), Vec::new());
    while let Some(line) = lines.get_mut(*at).filter(|line| line.indent == indent) {
        let here = line.number;
        if is_item(line.text) != is_list {
            break;
        }
        if is_list {
            let rest = line.text.strip_prefix('-').unwrap_or("").trim_start();
            let moved = line.text.len().saturating_sub(rest.len());
            if rest.is_empty() {
                *at = at.saturating_add(1);
                items.push(inner(lines, at, indent, here, depth)?);
            } else if is_item(rest) || entry(rest).is_some() {
                // The item is a block of its own that begins on this line.
                (line.indent, line.text) = (indent.saturating_add(moved), rest);
                items.push(block(lines, at, depth.saturating_sub(1))?);
            } else {
                *at = at.saturating_add(1);
                items.push(scalar(rest, here)?);
            }
            continue;
        }
        let Some((key, rest)) = entry(line.text) else {
            return Err(refused(here, "write `key: value`"));
        };
        let (key, rest) = (unquoted(key).to_owned(), rest.trim());
        if entries.iter().any(|(known, _)| *known == key) {
            return Err(refused(here, "this key is there twice"));
        }
        *at = at.saturating_add(1);
        let value = match rest {
            "" => {
                // A list may stand as far left as its key.
                let same = lines.get(*at).is_some_and(|it| it.indent == indent && is_item(it.text));
                if same {
                    block(lines, at, depth.saturating_sub(1))?
                } else {
                    inner(lines, at, indent, here, depth)?
                }
            }
            "|" | ">" | "|-" | ">-" => {
                let mut text = Vec::new();
                while let Some(line) = lines.get(*at).filter(|line| line.indent > indent) {
                    text.push(line.text);
                    *at = at.saturating_add(1);
                }
                Node { line: here, value: Yaml::Scalar(text.join(" ")) }
            }
            rest => scalar(rest, here)?,
        };
        entries.push((key, value));
    }
    let value = if is_list { Yaml::List(items) } else { Yaml::Map(entries) };
    Ok(Node { line: number, value })
}

/// What is indented further than `indent`; nothing where there is none.
fn inner(
    lines: &mut [Line<'_>],
    at: &mut usize,
    indent: usize,
    line: usize,
    depth: usize,
) -> Result<Node, ImportRejected> {
    if lines.get(*at).is_some_and(|line| line.indent > indent) {
        return block(lines, at, depth.saturating_sub(1));
    }
    Ok(Node { line, value: Yaml::Scalar(String::new()) })
}

fn is_item(text: &str) -> bool {
    text == "-" || text.starts_with("- ")
}

/// Key and rest of `key: rest`.
fn entry(text: &str) -> Option<(&str, &str)> {
    if text.starts_with(['"', '\'', '[']) {
        return None;
    }
    text.split_once(": ").or_else(|| text.strip_suffix(':').map(|key| (key, "")))
}

fn scalar(text: &str, line: usize) -> Result<Node, ImportRejected> {
    if let Some(list) = text.strip_prefix('[') {
        let list = list.strip_suffix(']').filter(|list| !list.contains(['[', '{']));
        let list = list.ok_or_else(|| refused(line, "write a list of plain values on one line"))?;
        let item =
            |text: &str| Node { line, value: Yaml::Scalar(unquoted(text.trim()).to_owned()) };
        let items = list.split(',').filter(|it| !it.trim().is_empty()).map(item).collect();
        return Ok(Node { line, value: Yaml::List(items) });
    }
    if text.starts_with(['{', '&', '*', '!']) {
        return Err(refused(line, "only plain YAML is read: no braces, tags or anchors"));
    }
    Ok(Node { line, value: Yaml::Scalar(unquoted(text).to_owned()) })
}

fn unquoted(text: &str) -> &str {
    let between = |quote: char| text.strip_prefix(quote)?.strip_suffix(quote);
    between('"').or_else(|| between('\'')).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_policies_are_written_in_is_read_with_lines() {
        let text = "name: 'a: b' # why\nrules:\n- name: x\n  days: [5, \"6\"]\n  text: >\n    one\n    two\n  all_of:\n    - field: p.q\n      value: -3\n    - plain\nlast:\n";
        let node = parse(text).unwrap();
        assert_eq!(node.get("name").unwrap().text(), Some("a: b"));
        let rule = &node.get("rules").unwrap().items()[0];
        assert_eq!(rule.get("text").unwrap().text(), Some("one two"));
        let days: Vec<_> = rule.get("days").unwrap().items().iter().map(Node::text).collect();
        assert_eq!(days, [Some("5"), Some("6")]);
        let all = rule.get("all_of").unwrap().items();
        assert_eq!((all[0].line, all[0].get("value").unwrap().text()), (9, Some("-3")));
        assert_eq!(all[1].text(), Some("plain"));
        assert_eq!(node.get("last").unwrap().text(), Some(""));
    }

    #[test]
    fn what_is_not_read_is_refused_with_its_line() {
        let line = |text: &str| parse(text).unwrap_err().line;
        assert_eq!(line(""), 1);
        assert_eq!(line("a: 1\n  b: 2\n"), 2);
        assert_eq!(line("a: 1\na: 2\n"), 2);
        assert_eq!(line("a: &x 1\n"), 1);
        assert_eq!(line("a:\n  - [[1]]\n"), 2);
        assert_eq!(line("a: 1\njust words\n"), 2);
        assert_eq!(line(&"- ".repeat(40)), 1);
    }
}
