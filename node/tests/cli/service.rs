//! A node under a service manager, which is this test: what it is told over its socket, and which secrets
//! it hands over.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::Path;

use crate::world::{DEADLINE, Running, enrolled};

/// Longest message of a node to its manager, in bytes.
const MESSAGE_MAX: usize = 4096;
/// How long the manager's watchdog waits, in microseconds: the node says something four times as often.
const WATCHDOG_USEC: &str = "8000000";

/// The manager's end of the socket.
struct Manager(UnixDatagram);

impl Manager {
    fn listen(path: &Path) -> Self {
        let socket = UnixDatagram::bind(path).unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        Self(socket)
    }

    /// The next message; panics where none comes in time.
    fn next(&self) -> String {
        let mut bytes = [0; MESSAGE_MAX];
        let length = self.0.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    }

    /// The next message that holds a line, and how many came before it.
    fn next_with(&self, line: &str) -> (String, usize) {
        let mut before = 0;
        loop {
            let message = self.next();
            if message.lines().any(|it| it == line) {
                return (message, before);
            }
            before += 1;
            assert!(before < 100, "no {line} among {before} messages; the last one is {message}");
        }
    }
}

#[test]
fn a_service_manager_hears_that_the_node_is_ready_that_it_lives_and_that_it_stops() {
    let dir = enrolled();
    let path = dir.path().join("notify");
    let manager = Manager::listen(&path);
    let variables =
        [("NOTIFY_SOCKET", path.as_os_str()), ("WATCHDOG_USEC", WATCHDOG_USEC.as_ref())];
    let node = Running::start_under(dir.path(), &[], &variables);

    let (ready, before) = manager.next_with("READY=1");
    assert_eq!(before, 0, "nothing is told before the node is ready");
    let status = ready.lines().find_map(|line| line.strip_prefix("STATUS=")).unwrap();
    assert!(status.contains("its site was not measured yet"), "{status}");
    for _ in 0..2 {
        manager.next_with("WATCHDOG=1");
    }

    let (code, last) = node.terminate();
    assert_eq!(code, Some(0), "{last}");
    let (stopping, _) = manager.next_with("STOPPING=1");
    assert!(stopping.contains("STATUS=stopping"), "{stopping}");
}

#[test]
fn without_a_service_manager_or_with_one_that_is_gone_a_node_runs_all_the_same() {
    let dir = enrolled();
    let nobody = dir.path().join("nobody");
    let node = Running::start_under(dir.path(), &[], &[("NOTIFY_SOCKET", nobody.as_os_str())]);
    assert_eq!(node.get("/health").0, 200);
    let (code, last) = node.terminate();
    assert_eq!(code, Some(0), "{last}");
}

#[test]
fn a_service_manager_hands_over_keys() {
    let dir = enrolled();
    let folder = dir.path().join("credentials");
    fs::create_dir(&folder).unwrap();
    let key = folder.join("participant");
    fs::rename(dir.path().join("boltgrid/participant.key"), &key).unwrap();
    // As systemd's access-control lists look.
    fs::set_permissions(&key, fs::Permissions::from_mode(0o440)).unwrap();
    let config = dir.path().join("boltgrid/config.toml");
    let text = fs::read_to_string(&config).unwrap();
    let from = "# participant_key_file = \"participant.key\"";
    let to = "participant_key_file = \"${CREDENTIALS_DIRECTORY}/participant\"";
    assert!(text.contains(from), "{text}");
    fs::write(&config, text.replace(from, to)).unwrap();

    let variables = [("CREDENTIALS_DIRECTORY", folder.as_os_str())];
    let node = Running::start_under(dir.path(), &[], &variables);
    let (_, status) = node.call(
        &node.cookie,
        &serde_json::json!({
            "jsonrpc": "2.0", "id": 1, "method": "node.status"
        }),
    );
    assert!(status["result"]["participant"].is_string(), "{status}");
    drop(node);

    let refused = crate::world::boltgrid(dir.path(), &["run"]).refused();
    assert!(refused.contains("${CREDENTIALS_DIRECTORY}/participant"), "{refused}");
}
