//! The one port of a node as strangers, browsers, scrapers and operators meet it.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Instant;

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::{Value, json};

use crate::world::{DEADLINE, LOOK, Running, boltgrid, enrolled};

#[test]
fn no_web_page_reaches_a_node_by_another_name_or_by_a_websocket() {
    let dir = enrolled();
    let node = Running::start(dir.path(), &[]);
    let port = node.rpc.rsplit(':').next().unwrap();
    for own in ["127.0.0.1", "localhost", "[::1]"] {
        let headers = format!("Host: {own}:{port}\r\nConnection: close");
        assert_eq!(node.ask("/health", &headers).0, 200, "{own}");
    }
    let foreign = format!("Host: rebound.example:{port}\r\nConnection: close");
    assert_eq!(node.ask("/health", &foreign).0, 403);

    let upgrade = |origin: &str, token: &str| {
        let headers = format!(
            "Host: {}\r\nOrigin: http://{origin}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Authorization: Bearer {token}",
            node.rpc
        );
        node.ask("/rpc", &headers).0
    };
    assert_eq!(upgrade("page.example", &node.cookie), 403, "a page of another host");
    assert_eq!(upgrade(&node.rpc, "boltgrid_guessed"), 401, "its own page, but nobody");
    assert_eq!(upgrade(&node.rpc, &node.cookie), 101, "its own page, logged in");
}

#[test]
fn nobody_is_answered_but_whoever_shows_the_cookie_or_a_token() {
    let dir = enrolled();
    let node = Running::start(dir.path(), &[]);
    let status = call("node.status");
    for path in ["/rpc", "/metrics"] {
        let nobody = format!("Host: {}\r\nConnection: close", node.rpc);
        assert_eq!(node.ask(path, &nobody).0, 401, "{path}");
        assert_eq!(node.get_as(path, "boltgrid_guessed").0, 401, "{path}");
    }
    let (code, said) = node.get_as("/metrics", "boltgrid_guessed");
    assert_eq!(code, 401);
    assert!(said.contains("was revoked"), "{said}");
    assert!(node.call(&node.cookie, &status).1["result"]["participant"].is_string());

    let made = boltgrid(dir.path(), &["token", "create", "grafana"]).ok();
    let token = made.trim();
    assert_eq!(node.get_as("/metrics", token).0, 200);
    let listed = boltgrid(dir.path(), &["token", "list"]).ok();
    assert!(listed.contains("grafana") && listed.contains("read") && listed.contains("never"));
    assert!(!listed.contains(token), "{listed}");
    boltgrid(dir.path(), &["token", "revoke", "grafana"]).ok();
    assert_eq!(node.get_as("/metrics", token).0, 401, "at once");
    let again = boltgrid(dir.path(), &["token", "revoke", "grafana"]).refused();
    assert!(again.contains("there is no token grafana"), "{again}");

    let as_json = |arguments: &[&str]| -> Value {
        serde_json::from_str(&boltgrid(dir.path(), arguments).ok()).unwrap()
    };
    let made = as_json(&["token", "create", "script", "--expires-days", "1", "--json"]);
    assert_eq!((&made["name"], &made["role"]), (&json!("script"), &json!("read")));
    let at = |which: &str| made[which].as_str().unwrap().parse::<u64>().unwrap();
    assert_eq!(at("expires_at_unix_ms") - at("created_at_unix_ms"), 86_400_000);
    let token = made["token"].as_str().unwrap();
    assert_eq!(node.get_as("/metrics", token).0, 200);
    let revoked = as_json(&["token", "revoke", "script", "--json"]);
    assert_eq!(revoked, json!({ "name": "script", "is_revoked": true }));
    assert_eq!(node.get_as("/metrics", token).0, 401, "at once");
}

#[test]
fn a_role_is_asked_for_in_every_call_alone_or_in_a_batch() {
    let dir = enrolled();
    let node = Running::start(dir.path(), &[]);
    let token = |name: &str, role: &str| {
        boltgrid(dir.path(), &["token", "create", name, "--role", role]).ok().trim().to_owned()
    };
    let (reader, trader) = (token("reader", "read"), token("trader", "trade"));
    let code = |answer: &Value| answer["error"]["code"].as_i64();
    let (withdraw, forgive) = (call("offer.withdraw"), call("payment.forgive"));

    let (_, refused) = node.call(&reader, &withdraw);
    assert_eq!(code(&refused), Some(-32003));
    let said = refused["error"]["message"].as_str().unwrap();
    assert!(said.contains("needs the role trade, and reader has read"), "{said}");
    assert_eq!(code(&node.call(&trader, &withdraw).1), Some(-32602), "parameters are missing");
    assert_eq!(code(&node.call(&trader, &forgive).1), Some(-32003));
    assert_eq!(code(&node.call(&node.cookie, &forgive).1), Some(-32602));

    let (_, batch) = node.call(&reader, &json!([call("node.status"), withdraw, forgive]));
    let codes: Vec<Option<i64>> = batch.as_array().unwrap().iter().map(code).collect();
    assert_eq!(codes, [None, Some(-32003), Some(-32003)]);
    let file = dir.path().join("reader.token");
    fs::write(&file, &reader).unwrap();
    let by_command = |method: &str, parameters: &str| {
        let shows = ["--token-file", file.to_str().unwrap(), "--rpc", &node.rpc];
        boltgrid(dir.path(), &[&["rpc", method, parameters], &shows[..]].concat())
    };
    let status: Value = serde_json::from_str(&by_command("node.status", "[]").ok()).unwrap();
    assert_eq!(status["grid_name"], "Mill \"Lane\"");
    assert_eq!(by_command("wallet.address", "{}").code, 4);
    let refused = by_command("wallet.address", "{}").refused();
    assert!(refused.contains("needs the role admin, and reader has read"), "{refused}");
    let (_, unknown) = node.call(&reader, &call("wallet.steal"));
    assert_eq!(code(&unknown), Some(-32601));
    assert!(unknown["error"]["message"].as_str().unwrap().contains("wallet.send"));
}

#[test]
fn whoever_calls_too_often_is_told_and_others_are_not_held_up() {
    let dir = enrolled();
    let config = dir.path().join("boltgrid/config.toml");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace("# requests_per_s = 500", "requests_per_s = 1")).unwrap();
    let node = Running::start(dir.path(), &[]);
    let made = boltgrid(dir.path(), &["token", "create", "other"]).ok();
    let many: Vec<Value> = (0..20).map(|_| call("node.status")).collect();
    let (_, answers) = node.call(&node.cookie, &Value::Array(many));
    let refused = answers.as_array().unwrap().iter().filter(|it| it["error"]["code"] == -32004);
    assert!(refused.count() >= 18, "{answers}");
    assert!(node.call(made.trim(), &call("node.status")).1["result"].is_object());
}

#[test]
fn a_node_is_ready_once_nothing_keeps_it_from_trading() {
    let dir = enrolled();
    let node = Running::start(dir.path(), &[]);
    let nobody = format!("Host: {}\r\nConnection: close", node.rpc);
    assert_eq!(node.ask("/ready", &nobody).0, 503, "anybody may ask");
    let (_, missing) = node.get("/ready");
    assert_eq!(missing, "its site was not measured yet\n");
}

#[test]
fn with_a_certificate_the_port_speaks_tls_and_in_the_clear_to_its_own_machine_only() {
    let dir = enrolled();
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    fs::write(dir.path().join("boltgrid/cert.pem"), made.cert.pem()).unwrap();
    let key = dir.path().join("boltgrid/key.pem");
    fs::write(&key, made.key_pair.serialize_pem()).unwrap();
    let config = dir.path().join("boltgrid/config.toml");
    let text = fs::read_to_string(&config).unwrap();
    let text = text
        .replace(
            "# tls_certificate_file = \"tls/fullchain.pem\"",
            "tls_certificate_file = \"cert.pem\"",
        )
        .replace("# tls_key_file = \"tls/privkey.pem\"", "tls_key_file = \"key.pem\"");
    fs::write(&config, text).unwrap();

    let node = Running::start(dir.path(), &[]);
    let trusted = [made.cert.der().clone()];
    assert!(over_tls(&node, &trusted).unwrap().starts_with("HTTP/1.1 200 OK"));
    assert!(over_tls(&node, &[]).is_err(), "a stranger's certificate");
    assert_eq!(node.get("/health").0, 200, "from this machine in the clear too");
    assert!(boltgrid(dir.path(), &["status", "--rpc", &node.rpc]).ok().contains("Mill"));
    drop(node);

    fs::write(&key, "not a key").unwrap();
    let refused = boltgrid(dir.path(), &["run", "--rpc", "127.0.0.1:0"]).refused();
    assert!(
        refused.contains("`rpc.tls_key_file` names") && refused.contains("key.pem"),
        "{refused}"
    );
}

/// What `/health` answers to whoever trusts these certificates.
fn over_tls(node: &Running, trusted: &[CertificateDer<'static>]) -> io::Result<String> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(trusted.iter().cloned());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let client = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = StreamOwned::new(client, TcpStream::connect(&node.rpc)?);
    write!(stream, "GET /health HTTP/1.1\r\n{}\r\n\r\n", node.headers(""))?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

fn call(method: &str) -> Value {
    json!({ "jsonrpc": "2.0", "id": 1, "method": method })
}

#[test]
fn a_node_whose_clock_jumps_says_so_in_status_health_metrics_and_log() {
    let dir = enrolled();
    let mut node = Running::start(dir.path(), &["--clock-offset-file", "offset"]);
    assert_eq!(node.get("/health"), (200, "ok\n".to_owned()));
    let (code, metrics) = node.get("/metrics");
    assert_eq!(code, 200);
    for line in [
        "# TYPE boltgrid_abstaining gauge",
        "boltgrid_abstaining{cause=\"clock_jumped\"} 0",
        "boltgrid_abstaining{cause=\"eclipsed\"} 0",
        "boltgrid_peers_connected 0",
        "boltgrid_intervals_total{outcome=\"decided\"} 0",
        "boltgrid_payload_bytes_total{direction=\"in\"} 0",
        "# EOF",
    ] {
        assert!(metrics.lines().any(|it| it == line), "{line} is not in\n{metrics}");
    }
    assert_ne!(node.get("/elsewhere").0, 200);

    fs::write(dir.path().join("offset"), "30000").unwrap();
    let began = Instant::now();
    while node.get("/health").0 == 200 {
        assert!(began.elapsed() < DEADLINE, "it notices");
        std::thread::sleep(LOOK);
    }
    let (code, health) = node.get("/health");
    assert_eq!(code, 503);
    assert!(health.starts_with("abstains (clock_jumped): "), "{health}");
    assert!(node.get("/metrics").1.contains("boltgrid_abstaining{cause=\"clock_jumped\"} 1\n"));
    let status = boltgrid(dir.path(), &["status", "--rpc", &node.rpc]).ok();
    for words in ["ABSTAINS", "jumped forward by", "chronyc tracking", "FOR TESTS ONLY"] {
        assert!(status.contains(words), "{words} is not in\n{status}");
    }
    let said = node.log.find(|line| line.as_ref().unwrap().contains("abstaining")).unwrap();
    assert!(said.unwrap().contains("ClockJumped"));
}
