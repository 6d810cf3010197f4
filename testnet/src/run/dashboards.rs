//! Where the dashboards of a run's nodes are, for whoever wants to look at them.
//!
//! Not for: the dashboards, which are the nodes' own.

use std::io;
use std::path::Path;

use super::founding::Place;

/// Every node's name, address and token, a line each.
const FILE: &str = "dashboards.txt";

/// Writes where they all are into the run's folder, and says where the first is.
///
/// # Errors
///
/// What keeps the file from being written.
pub(super) fn told<'a>(
    places: impl Iterator<Item = &'a Place>,
    folder: &Path,
) -> io::Result<String> {
    let (mut lines, mut first) = (String::new(), None);
    for place in places {
        let token = place.token.reveal();
        lines.push_str(&format!("{}  http://{}/  {token}\n", place.name, place.rpc));
        first.get_or_insert_with(|| format!("http://{}/ with the token {token}", place.rpc));
    }
    let file = folder.join(FILE);
    std::fs::write(&file, lines)?;
    let first = first.unwrap_or_default();
    Ok(format!("a dashboard is at {first}; the other nodes are in {}", file.display()))
}
