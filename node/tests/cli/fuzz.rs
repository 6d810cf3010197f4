//! JSON-RPC under calls made of its own document: for every method parameters that its schemas allow and others
//! that they don't, over one WebSocket, which must live through all of it.

use std::collections::{BTreeMap, BTreeSet};
use std::thread;

use serde_json::{Map, Value, json};

use crate::websocket::WebSocket;
use crate::world::{DEADLINE, Running, enrolled, set};

/// The committed document.
const DOCUMENT: &str = include_str!("../../../docs/openrpc.json");
/// Calls of each method.
const CALLS: u64 = 40;
/// Of ten values, so many are none that the schema allows.
const WRONG_OF_TEN: u64 = 3;
/// An error that the caller did not cause: the node's own fault.
const INTERNAL: i64 = -32603;
/// No method, or no call at all: for what is not in the document.
const NO_CALL: [i64; 3] = [-32700, -32600, -32601];

/// What chance decides, the same at every run (`SplitMix64`).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end).unwrap()).unwrap()
    }

    fn one_of<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    fn is_wrong(&mut self) -> bool {
        self.next() % 10 < WRONG_OF_TEN
    }

    /// Something that a schema allows.
    fn right(&mut self, schema: &Value) -> Value {
        if let Some(value) = schema.get("const") {
            return value.clone();
        }
        if let Some(values) = schema["enum"].as_array() {
            return self.one_of(values).clone();
        }
        for any in ["anyOf", "oneOf", "allOf"] {
            if let Some(of) = schema[any].as_array() {
                let one = self.one_of(of);
                return self.right(one);
            }
        }
        let kind = &schema["type"];
        let kinds = kind.as_array().cloned().unwrap_or_else(|| vec![kind.clone()]);
        match self.one_of(&kinds).as_str() {
            Some("object") => self.object(schema),
            Some("array") => (0..self.below(4)).map(|_| self.value(&schema["items"])).collect(),
            Some("string") if schema.get("pattern").is_some() => self.number(),
            Some("string") => self.text(),
            Some("integer") => json!(self.next() >> self.below(64)),
            Some("boolean") => json!(self.next().is_multiple_of(2)),
            _ => Value::Null,
        }
    }

    fn object(&mut self, schema: &Value) -> Value {
        let required: Vec<&str> =
            schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let mut object = Map::new();
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            if required.contains(&name.as_str()) || self.next().is_multiple_of(2) {
                object.insert(name.clone(), self.value(property));
            }
        }
        Value::Object(object)
    }

    /// A number of 64 bits as text, often at the end of some range.
    fn number(&mut self) -> Value {
        let odd = ["0", "1", "-1", "5933334", "9223372036854775807", "18446744073709551615"];
        match self.below(2) {
            0 => json!(self.one_of(&odd)),
            _ => json!((self.next() >> self.below(64)).to_string()),
        }
    }

    /// Text such as many parameters are: numbers, ids, addresses.
    fn text(&mut self) -> Value {
        if self.next().is_multiple_of(2) {
            return self.number();
        }
        let (hex, point) = ("ab".repeat(32), format!("02{}", "cd".repeat(32)));
        let odd = [hex.as_str(), &point, "127.0.0.1:9735", "info", "text", "", "ä\u{0}\u{202e}"];
        json!(self.one_of(&odd))
    }

    /// Something that fits nowhere much.
    fn wrong(&mut self) -> Value {
        let deep = (0..100).fold(json!(0), |inner, _| json!([inner]));
        let odd = [
            json!(null),
            json!(-1),
            json!(1.5),
            json!(1e300),
            json!(u64::MAX),
            json!(true),
            json!("18446744073709551616"),
            json!("x".repeat(10_000)),
            json!("'; DROP TABLE journal; --"),
            json!({ "": {} }),
            json!([]),
            deep,
        ];
        self.one_of(&odd).clone()
    }

    fn value(&mut self, schema: &Value) -> Value {
        if self.is_wrong() { self.wrong() } else { self.right(schema) }
    }

    /// Parameters of a method, by name or by position, at times with one too few or too many.
    fn params(&mut self, method: &Value) -> Value {
        let known = method["params"].as_array().unwrap();
        let mut given: Vec<(String, Value)> = Vec::new();
        for it in known {
            if it["required"] == true || self.next().is_multiple_of(2) {
                given.push((it["name"].as_str().unwrap().to_owned(), self.value(&it["schema"])));
            }
        }
        match self.below(12) {
            0 => drop(given.pop()),
            1 => given.push(("no_such".to_owned(), self.wrong())),
            2 => return self.wrong(),
            _ => {}
        }
        let is_by_name = (method["paramStructure"] == "by-name") != (self.below(8) == 0);
        if is_by_name {
            Value::Object(given.into_iter().collect())
        } else {
            given.into_iter().map(|it| it.1).collect()
        }
    }
}

/// What came of all calls.
#[derive(Debug, Default)]
struct Tally {
    answered: BTreeSet<String>,
    refused: BTreeMap<i64, u64>,
    wrong: Vec<String>,
}

impl Tally {
    fn note(&mut self, method: &Value, call: &Value, answer: &Value) {
        let name = method["name"].as_str().unwrap();
        let Some(code) = answer["error"]["code"].as_i64() else {
            self.answered.insert(name.to_owned());
            return;
        };
        *self.refused.entry(code).or_default() += 1;
        let told = method["errors"].as_array().unwrap().iter().any(|it| it["code"] == code);
        // Parameters that are neither an object nor an array make no call.
        let is_call = call["params"].is_object() || call["params"].is_array();
        if code == INTERNAL || !(told || (!is_call && NO_CALL.contains(&code)) || code == -32602) {
            self.wrong.push(format!("{name}: {answer} to {call}"));
        }
    }
}

/// Calls every method many times over one WebSocket.
fn call_all(address: &str, token: &str) -> Tally {
    let document: Value = serde_json::from_str(DOCUMENT).unwrap();
    let mut dice = Dice(1);
    let mut socket = WebSocket::open(address, token, DEADLINE);
    let (mut tally, mut id) = (Tally::default(), 0);
    for method in document["methods"].as_array().unwrap() {
        let mut waiting = BTreeMap::new();
        for _ in 0..CALLS {
            id += 1;
            let params = dice.params(method);
            let call =
                json!({ "jsonrpc": "2.0", "id": id, "method": method["name"], "params": params });
            socket.send(&call);
            waiting.insert(id, call);
        }
        while !waiting.is_empty() {
            let answer = socket.next().expect("the node closes no connection");
            let Some(call) = answer["id"].as_u64().and_then(|id| waiting.remove(&id)) else {
                // News of a subscription, or the refusal of what has no readable id.
                if answer.get("method").is_none() {
                    let first = *waiting.keys().next().unwrap();
                    let call = waiting.remove(&first).unwrap();
                    tally.note(method, &json!({ "params": null, "for": call }), &answer);
                }
                continue;
            };
            tally.note(method, &call, &answer);
        }
    }
    tally
}

#[test]
fn whatever_its_document_lets_one_make_up_a_node_answers_or_refuses_and_goes_on() {
    let dir = enrolled();
    set(dir.path(), "# requests_per_s = 500", "requests_per_s = 100000");
    let mut node = Running::start(dir.path(), &[]);
    let (address, token, log) = (node.rpc.clone(), node.cookie.clone(), &mut node.log);
    let process = &mut node.process;
    let (tally, lines) = thread::scope(|scope| {
        // Nobody reads along otherwise, and a node whose log is not read stands still.
        let read = scope.spawn(|| log.map_while(Result::ok).collect::<Vec<String>>());
        let tally = call_all(&address, &token);
        let runs = process.try_wait().unwrap().is_none();
        process.kill().unwrap();
        assert!(runs, "the node ended");
        (tally, read.join().unwrap())
    });
    let panicked: Vec<&String> = lines.iter().filter(|it| it.contains("panic")).collect();
    assert!(panicked.is_empty(), "{panicked:#?}");
    assert!(tally.wrong.is_empty(), "{:#?}", tally.wrong);
    assert!(tally.answered.len() > 30, "too little of it was right: {tally:?}");
    let refused = tally.refused.get(&-32602).copied().unwrap_or_default();
    assert!(refused > 200, "too little of it was wrong: {tally:?}");
}

#[test]
fn what_is_no_call_at_all_is_refused_and_the_connection_lives() {
    let dir = enrolled();
    let node = Running::start(dir.path(), &[]);
    let mut socket = WebSocket::open(&node.rpc, &node.cookie, DEADLINE);
    let mut refused = 0;
    for nonsense in [
        json!({}),
        json!([]),
        json!(null),
        json!("node.status"),
        json!([1, 2]),
        json!({ "jsonrpc": "1.0", "id": 1, "method": "node.status" }),
        json!({ "jsonrpc": "2.0", "id": {}, "method": "node.status" }),
        json!({ "jsonrpc": "2.0", "id": 1, "method": 5 }),
    ] {
        socket.send(&nonsense);
        socket.send(&json!({ "jsonrpc": "2.0", "id": 9, "method": "node.status" }));
        // What looks like a notification is not answered; the call after it is in any case.
        loop {
            let answer = socket.next().expect("the connection lives");
            if answer["id"] == 9 {
                assert!(answer["result"].is_object(), "after {nonsense}: {answer}");
                break;
            }
            let error = if answer.is_array() { &answer[0]["error"] } else { &answer["error"] };
            let code = error["code"].as_i64();
            assert!(code.is_some_and(|it| NO_CALL.contains(&it)), "{nonsense}: {answer}");
            refused += 1;
        }
    }
    assert!(refused >= 5, "only {refused} were refused");
    let huge = json!({ "jsonrpc": "2.0", "id": 1, "method": "x".repeat(70_000) });
    assert_eq!(node.call(&node.cookie, &huge).0, 413, "more than a request may have");
}
