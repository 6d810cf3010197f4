//! What can be seen without asking the node: its papers and keys, the disk, and whether the chain's server
//! answers. Nothing is written, and nobody is called but a bitcoind of the config.

use std::fs;
use std::io;
use std::net::{TcpStream, ToSocketAddrs as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use boltgrid_protocol::units::Interval;
use rustix::fs::statvfs;

use super::Finding;
use crate::clock;
use crate::config::Config;
use crate::config::lightning::{ChainSource, LightningConfig, Login};
use crate::grid::Grid;
use crate::keys;
use crate::lightning::Seed;

/// Below this a node may stop any time: journal, archive and Lightning's store need room to write.
const FREE_MB_LEAST: u64 = 256;
/// Below this it is time to make room.
const FREE_MB_WANTED: u64 = 2_048;
/// A membership that ends sooner should be renewed, in days.
const DAYS_LEFT_WANTED: u64 = 14;
/// Milliseconds in a day.
const DAY_MS: u64 = 86_400_000;
/// How long a bitcoind may take to be reached.
const REACHED_WITHIN: Duration = Duration::from_secs(3);
/// Bytes of a megabyte.
const MB: u64 = 1_000_000;

/// Everything that can be seen of a config.
pub(super) fn look(config: &Config) -> Vec<Finding> {
    let mut findings = vec![secrets(config), disk(&config.data_dir), grid(config)];
    findings.push(match &config.lightning {
        None => Finding::warning(
            "chain",
            "the config has no `[lightning]`: dues are kept and never paid",
            "set `network` and where the chain is seen in `[lightning]`; see docs/wallet.md",
        ),
        Some(lightning) => chain(lightning),
    });
    findings
}

/// Whether the secrets are there, and are for their owner only.
fn secrets(config: &Config) -> Finding {
    let of = "permissions";
    let advice = "run this as the user that the node runs as; `chmod 600` a file that others can read; \
                  `boltgrid init` makes what is missing";
    let mut problems = Vec::new();
    let mut note = |problem: Option<String>| problems.extend(problem);
    note(keys::read(&config.keys.participant_key_file).err().map(|it| it.to_string()));
    if config.keys.meter.hsm.is_none() {
        note(keys::read(&config.keys.meter.file).err().map(|it| it.to_string()));
    }
    if config.seed_file.exists() {
        note(Seed::read(&config.seed_file).err().map(|it| it.to_string()));
    }
    note(open_to_others(&config.data_dir));
    if problems.is_empty() {
        return Finding::ok(of, "keys, seed and data folder are for their owner only");
    }
    Finding::trouble(of, problems.join("; "), advice)
}

/// Why a folder is not as private as it should be, or cannot be looked at; none where it is, or is yet to be made.
fn open_to_others(folder: &Path) -> Option<String> {
    match fs::metadata(folder) {
        Ok(about) => {
            let mode = about.permissions().mode() & 0o777;
            let is_open = mode & 0o077 != 0;
            is_open.then(|| format!("{} is open to others (mode {mode:o})", folder.display()))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => Some(format!("{} cannot be looked at: {error}", folder.display())),
    }
}

fn disk(data_dir: &Path) -> Finding {
    let there = data_dir.ancestors().find(|it| it.exists()).unwrap_or(Path::new("."));
    let there = if there.as_os_str().is_empty() { Path::new(".") } else { there };
    match statvfs(there) {
        Ok(about) => room(data_dir, about.f_bavail.saturating_mul(about.f_frsize) / MB),
        Err(error) => Finding::trouble(
            "disk",
            format!("{} cannot be looked at: {error}", there.display()),
            "check `data_dir` and the disk that it is on",
        ),
    }
}

fn room(data_dir: &Path, free_mb: u64) -> Finding {
    let found = format!("{free_mb} MB free for {}", data_dir.display());
    let advice = "make room, or move the data folder while the node is stopped (`data_dir`)";
    match free_mb {
        0..FREE_MB_LEAST => Finding::trouble("disk", found, advice),
        FREE_MB_LEAST..FREE_MB_WANTED => Finding::warning("disk", found, advice),
        FREE_MB_WANTED.. => Finding::ok("disk", found),
    }
}

/// Whether this node is a member of its grid, and for how long.
fn grid(config: &Config) -> Finding {
    let Grid { charter, mut rosters } = match Grid::load(&config.grid) {
        Ok(grid) => grid,
        Err(error) => {
            let advice = "get charter and enrolments from a member of the grid";
            return Finding::trouble("grid", error.to_string(), advice);
        }
    };
    // What is wrong with the key is told with the permissions.
    let Ok(key) = keys::read(&config.keys.participant_key_file) else {
        return Finding::warning("grid", format!("{} is right", charter.name), "see permissions");
    };
    let current = charter.interval.interval_at(clock::now());
    let roster = rosters.at(current);
    let member = roster.index_of(&key.participant_id()).and_then(|place| roster.member(place));
    let Some(member) = member else {
        return Finding::trouble(
            "grid",
            format!("this node is no member of {} now", charter.name),
            "have a registrar sign `boltgrid enrol request`, and put it into every member's enrolments",
        );
    };
    let until = member.enrolment.valid_until;
    days_left(&charter.name, intervals_between(current, until), charter.interval.interval_ms)
}

fn intervals_between(from: Interval, until: Interval) -> u64 {
    until.to_number().saturating_sub(from.to_number())
}

fn days_left(name: &str, intervals: u64, interval_ms: u64) -> Finding {
    let days = intervals.saturating_mul(interval_ms) / DAY_MS;
    let found = format!("a member of {name} for {days} more days");
    if days >= DAYS_LEFT_WANTED {
        return Finding::ok("grid", found);
    }
    Finding::warning("grid", found, "have the enrolment renewed: `boltgrid enrol request`")
}

/// Whether the server that shows the chain can be reached.
fn chain(lightning: &LightningConfig) -> Finding {
    let of = "chain";
    let ChainSource::Bitcoind { host, port, login } = &lightning.chain else {
        let found = format!("{} is for the node to ask", lightning.chain);
        return Finding::ok(of, found);
    };
    let secret = match login {
        Login::CookieFile(path) | Login::Password { password_file: path, .. } => path,
    };
    if let Err(error) = fs::File::open(secret) {
        return Finding::trouble(
            of,
            format!("{} cannot be read: {error}", secret.display()),
            "start bitcoind first; let this user read the file (`rpccookieperms=group`)",
        );
    }
    match reached(host, *port) {
        Ok(()) => Finding::ok(of, format!("{} can be reached", lightning.chain)),
        Err(error) => Finding::trouble(
            of,
            format!("{} cannot be reached: {error}", lightning.chain),
            "start it, or set `bitcoind_url` right; it must listen for JSON-RPC (`server=1`)",
        ),
    }
}

fn reached(host: &str, port: u16) -> io::Result<()> {
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for address in (host, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, REACHED_WITHIN) {
            Ok(_) => return Ok(()),
            Err(error) => last = error,
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn room_on_the_disk_is_judged_by_what_is_left() {
        let of = |mb| room(Path::new("data"), mb).verdict;
        assert_eq!((of(255), of(256)), (Verdict::Trouble, Verdict::Warning));
        assert_eq!((of(2_047), of(2_048)), (Verdict::Warning, Verdict::Ok));
    }

    #[test]
    fn a_membership_that_ends_soon_is_to_be_renewed() {
        // Of five minutes each: 288 a day.
        let of = |intervals| days_left("Mill Lane", intervals, 300_000);
        assert_eq!(of(288 * 14).verdict, Verdict::Ok);
        let soon = of(288 * 14 - 1);
        assert_eq!(soon.verdict, Verdict::Warning);
        assert!(soon.found.contains("13 more days"), "{soon:?}");
    }

    #[test]
    fn a_folder_that_others_may_enter_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let set = |mode| {
            fs::set_permissions(folder.path(), fs::Permissions::from_mode(mode)).unwrap();
            open_to_others(folder.path())
        };
        assert_eq!(set(0o700), None);
        assert!(set(0o750).unwrap().contains("mode 750"));
        assert_eq!(open_to_others(&folder.path().join("yet to be made")), None);
    }

    #[test]
    fn a_server_that_nobody_runs_is_not_reached() {
        assert!(reached("127.0.0.1", 1).is_err());
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        assert!(reached("127.0.0.1", listener.local_addr().unwrap().port()).is_ok());
    }
}
