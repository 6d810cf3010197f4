//! The dashboard's door as browsers and those who misuse them meet it. What pages look like is seen in a
//! real browser by a test of the testnet.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use serde_json::json;

use crate::world::{Running, boltgrid, enrolled};

/// Sends a request with these headers; the answer's code, head and body.
fn send(node: &Running, line: &str, headers: &[&str], body: &str) -> (u16, String, String) {
    let mut stream = TcpStream::connect(&node.rpc).unwrap();
    let headers: String = headers.iter().map(|it| format!("{it}\r\n")).collect();
    write!(
        stream,
        "{line} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Length: {}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\n{headers}\r\n{body}",
        node.rpc,
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let code = head.split(' ').nth(1).unwrap().parse().unwrap();
    (code, head.to_owned(), body.to_owned())
}

/// Signs in with a token; the header that a browser sends from then on.
fn session(node: &Running, token: &str) -> String {
    let origin = format!("Origin: http://{}", node.rpc);
    let (code, head, _) = send(node, "POST /login", &[&origin], &format!("token={token}"));
    assert_eq!(code, 303, "{head}");
    let cookie = head.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
    assert!(!cookie.contains("Path="), "it would not hold behind a prefix: {cookie}");
    format!("Cookie: {}", cookie.split(';').next().unwrap())
}

/// Every page.
const PAGES: [&str; 7] = ["/", "/market", "/money", "/miners", "/meters", "/grid", "/settings"];

#[test]
fn every_page_says_what_it_may_load_and_stays_out_of_caches() {
    let dir = enrolled();
    let node = Running::start(dir.path(), &[]);
    let cookie = session(&node, &node.cookie);
    let others = ["/login", "/assets/app.css", "/now-live"];
    for page in PAGES.into_iter().chain(others) {
        let (code, head, _) = send(&node, &format!("GET {page}"), &[&cookie], "");
        assert_eq!(code, 200, "{page}: {head}");
        let said = |header: &str| {
            let name = format!("{header}: ");
            head.lines().find_map(|line| line.strip_prefix(&name)).unwrap_or("").to_owned()
        };
        let policy = said("content-security-policy");
        for part in
            ["default-src 'none'", "script-src 'self'", "connect-src 'self'", "base-uri 'none'"]
        {
            assert!(policy.split("; ").any(|it| it == part), "{page} lets {part} be: {policy:?}");
        }
        assert!(!policy.contains("unsafe") && !policy.contains('*'), "{page}: {policy}");
        assert_eq!(said("x-content-type-options"), "nosniff", "{page}");
    }
}

#[test]
fn strangers_are_sent_to_sign_in_and_no_form_of_another_page_is_taken() {
    let dir = enrolled();
    let node = Running::start(dir.path(), &[]);
    for page in PAGES {
        let (code, head, _) = send(&node, &format!("GET {page}"), &[], "");
        assert_eq!(code, 303, "{page}");
        assert!(head.contains("location: login"), "{head}");
    }
    let (code, head, _) = send(&node, "GET /now-live", &["HX-Request: true"], "");
    assert!(code == 401 && head.contains("hx-redirect: login"), "{head}");
    assert_eq!(send(&node, "GET /assets/app.css", &[], "").0, 200);
    assert_eq!(send(&node, "GET /assets/../config.toml", &[], "").0, 404);

    let own = format!("Origin: http://{}", node.rpc);
    let token = format!("token={}", node.cookie);
    let signs_in = |headers: &[&str], body: &str| {
        let (code, head, _) = send(&node, "POST /login", headers, body);
        (code, head.contains("set-cookie"))
    };
    assert_eq!(signs_in(&[&own], "token=boltgrid_guessed"), (401, false));
    assert_eq!(signs_in(&[], &token), (403, false), "no page at all");
    assert_eq!(signs_in(&["Origin: http://page.example"], &token), (403, false));
    assert_eq!(signs_in(&[&own], &token), (303, true));
}

#[test]
fn a_session_is_worth_its_token_at_each_request() {
    let dir = enrolled();
    let node = Running::start(dir.path(), &[]);
    let made = boltgrid(dir.path(), &["token", "create", "tablet"]).ok();
    let cookie = session(&node, made.trim());
    let (code, head, page) = send(&node, "GET /", &[&cookie, "Accept-Language: de"], "");
    assert_eq!(code, 200, "{head}");
    assert!(head.contains("content-security-policy: default-src 'none'; script-src 'self'"));
    assert!(head.contains("cache-control: no-store"), "{head}");
    assert!(page.contains("Nur zum Ansehen angemeldet") && !page.contains("http://"), "{page}");

    let own = format!("Origin: http://{}", node.rpc);
    let form = "what=save&trade=on&reserve=37&buy_at_most=&sell_at_least=";
    let (_, _, page) = send(&node, "POST /settings", &[&cookie, &own], form);
    assert!(page.contains("may only look"), "{page}");
    let admin = session(&node, &node.cookie);
    let (_, _, page) = send(&node, "POST /settings", &[&admin], form);
    assert!(page.contains("not sent from this page"), "{page}");
    let ask = json!({ "jsonrpc": "2.0", "id": 1, "method": "market.instructions" });
    let kept = |node: &Running| {
        let (_, answer) = node.call(&node.cookie, &ask);
        answer["result"]["instructions"]["reserve_state_of_charge_percent"].clone()
    };
    assert_eq!(kept(&node), json!(null));
    let (_, _, page) = send(&node, "POST /settings", &[&admin, &own], form);
    assert!(page.contains("notice good"), "{page}");
    assert_eq!(kept(&node), json!(37));

    boltgrid(dir.path(), &["token", "revoke", "tablet"]).ok();
    assert_eq!(send(&node, "GET /", &[&cookie], "").0, 303, "at once");
    assert_eq!(send(&node, "POST /logout", &[&admin, &own], "").0, 303);
    assert_eq!(send(&node, "GET /", &[&admin], "").0, 303);
}
