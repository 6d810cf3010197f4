//! The limits of the port, each gone beyond by a little: who does so is told by a code that means this and
//! nothing else, and is served on.

use serde_json::{Value, json};

use crate::websocket::WebSocket;
use crate::world::{DEADLINE, Running, enrolled};

/// Subscriptions that a WebSocket may have, calls that a batch may have, and bytes that a request may have.
const SUBSCRIPTIONS_MAX: usize = 16;
const BATCH_MAX: usize = 100;
const REQUEST_MAX: usize = 64 * 1024;
/// Codes by which JSON-RPC refuses, as docs/rpc.md has them.
const TOO_MANY_SUBSCRIPTIONS: i64 = -32006;
const REQUEST_TOO_LONG: i64 = -32007;
const BATCH_TOO_LONG: i64 = -32010;

fn call(method: &str) -> Value {
    json!({ "jsonrpc": "2.0", "id": 1, "method": method })
}

/// What a WebSocket answers to a call; news of subscriptions are passed over.
fn answer(socket: &mut WebSocket, method: &str) -> Value {
    socket.send(&call(method));
    loop {
        let answer = socket.next().expect("the connection lives");
        if answer.get("id").is_some() {
            return answer;
        }
    }
}

#[test]
fn a_websocket_with_too_many_subscriptions_is_told_so_and_has_those_it_had() {
    let dir = enrolled();
    let node = Running::start(dir.path(), &[]);
    let mut socket = WebSocket::open(&node.rpc, &node.cookie, DEADLINE);
    let topics = ["market.subscribe_prices", "alert.subscribe_alerts"];
    for place in 0..SUBSCRIPTIONS_MAX {
        let subscribed = answer(&mut socket, topics[place % topics.len()]);
        assert!(subscribed["error"].is_null(), "subscription {place}: {subscribed}");
    }
    for topic in topics {
        let refused = answer(&mut socket, topic);
        assert_eq!(refused["error"]["code"], TOO_MANY_SUBSCRIPTIONS, "{refused}");
    }
    assert!(answer(&mut socket, "node.status")["result"].is_object(), "calls are answered on");
    let mut other = WebSocket::open(&node.rpc, &node.cookie, DEADLINE);
    assert!(answer(&mut other, topics[0])["error"].is_null(), "each has its own");
}

#[test]
fn what_is_too_long_is_refused_by_its_own_code_and_what_just_fits_is_answered() {
    let dir = enrolled();
    let node = Running::start(dir.path(), &[]);
    let batch = |calls: usize| Value::Array(vec![call("node.status"); calls]);
    let (_, answers) = node.call(&node.cookie, &batch(BATCH_MAX));
    assert_eq!(answers.as_array().map(Vec::len), Some(BATCH_MAX));
    let (_, refused) = node.call(&node.cookie, &batch(BATCH_MAX + 1));
    assert_eq!(refused["error"]["code"], BATCH_TOO_LONG, "{refused}");

    let filled = |length: usize| {
        let empty = json!({ "jsonrpc": "2.0", "id": 1, "method": "node.status", "more": "" });
        let more = "x".repeat(length - empty.to_string().len());
        json!({ "jsonrpc": "2.0", "id": 1, "method": "node.status", "more": more })
    };
    let (status, answered) = node.call(&node.cookie, &filled(REQUEST_MAX));
    assert!(status == 200 && answered["result"].is_object(), "{status}: {answered}");
    let (status, refused) = node.call(&node.cookie, &filled(REQUEST_MAX + 1));
    assert_eq!((status, &refused["error"]["code"]), (413, &json!(REQUEST_TOO_LONG)), "{refused}");
}
