//! A running node as its `OpenRPC` document says: every answer has the shape, every refusal a code of it.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::world::{Running, enrolled};

/// The committed document.
const DOCUMENT: &str = include_str!("../../../docs/openrpc.json");
/// A parameter is missing, or is not of its kind.
const BAD_PARAMETER: i64 = -32602;

/// Where a value is something else than a schema says; none where it fits.
fn misfit(value: &Value, schema: &Value, schemas: &Map<String, Value>, at: &str) -> Option<String> {
    if let Some(path) = schema["$ref"].as_str() {
        let name = path.rsplit('/').next().unwrap();
        return misfit(value, schemas.get(name).expect("schemas are there"), schemas, at);
    }
    for any in ["anyOf", "oneOf"] {
        if let Some(of) = schema[any].as_array() {
            let fits = of.iter().any(|it| misfit(value, it, schemas, at).is_none());
            return (!fits).then(|| format!("{at}: {value} is none of {schema}"));
        }
    }
    if let Some(of) = schema["allOf"].as_array() {
        return of.iter().find_map(|it| misfit(value, it, schemas, at));
    }
    if schema.get("const").is_some_and(|it| it != value)
        || schema["enum"].as_array().is_some_and(|it| !it.contains(value))
    {
        return Some(format!("{at}: {value} is not of {schema}"));
    }
    let of = &schema["type"];
    let several = of.as_array().into_iter().flatten().filter_map(Value::as_str);
    let kinds: Vec<&str> = of.as_str().into_iter().chain(several).collect();
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    if !kinds.is_empty() && !kinds.contains(&kind) {
        return Some(format!("{at}: {value} is no {kinds:?}"));
    }
    if let Some(items) = value.as_array() {
        let each = |(place, it)| misfit(it, &schema["items"], schemas, &format!("{at}[{place}]"));
        return items.iter().enumerate().find_map(each);
    }
    let fields = value.as_object()?;
    let properties = schema["properties"].as_object().cloned().unwrap_or_default();
    let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    if let Some(missing) = required.into_iter().find(|it| !fields.contains_key(*it)) {
        return Some(format!("{at}: {missing} is missing"));
    }
    fields.iter().find_map(|(name, it)| {
        let more = schema.get("additionalProperties").filter(|it| it.is_object());
        let at = format!("{at}.{name}");
        match properties.get(name).or(more) {
            Some(schema) => misfit(it, schema, schemas, &at),
            None if properties.is_empty() => None,
            None => Some(format!("{at} is not in the document")),
        }
    })
}

fn params(method: &Value) -> Value {
    let given = method["examples"][0]["params"].as_array().unwrap();
    if method["paramStructure"] == "by-position" {
        return given.iter().map(|it| it["value"].clone()).collect();
    }
    given.iter().map(|it| (it["name"].as_str().unwrap().to_owned(), it["value"].clone())).collect()
}

fn call(method: &Value, params: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": 1, "method": method["name"], "params": params })
}

#[test]
fn what_a_node_answers_is_what_its_document_says() {
    let dir = enrolled();
    let node = Running::start(dir.path(), &[]);
    let discover = json!({ "jsonrpc": "2.0", "id": 1, "method": "rpc.discover" });
    let (_, mut answer) = node.call(&node.cookie, &discover);
    let document = answer["result"].take();
    assert_eq!(document, serde_json::from_str::<Value>(DOCUMENT).unwrap());
    let schemas = document["components"]["schemas"].as_object().unwrap();
    let (mut answered, mut refused) = (BTreeSet::new(), BTreeSet::new());
    for method in document["methods"].as_array().unwrap() {
        let name = method["name"].as_str().unwrap();
        // Examples of the others would have this node sign, spend or shed.
        let is_dry = name == "market.instruct";
        if !(method["x-role"] == "read" || is_dry) || name.contains("subscribe") {
            continue;
        }
        let mut params = params(method);
        if is_dry {
            params["dry_run"] = json!(true);
        }
        let (status, answer) = node.call(&node.cookie, &call(method, &params));
        assert_eq!(status, 200, "{name}");
        if let Some(error) = answer.get("error") {
            let codes = method["errors"].as_array().unwrap();
            let is_known = codes.iter().any(|it| it["code"] == error["code"]);
            assert!(is_known, "{name} refuses by a code that it does not tell of: {error}");
            refused.insert(name.to_owned());
            continue;
        }
        let schema = &method["result"]["schema"];
        assert_eq!(misfit(&answer["result"], schema, schemas, name), None);
        answered.insert(name.to_owned());
    }
    for name in ["node.status", "market.prices", "grid.charter", "grid.members", "market.orders"] {
        assert!(answered.contains(name), "{name}: {answered:?}, refused {refused:?}");
    }
    assert!(answered.len() > 20, "{answered:?}, refused {refused:?}");
}

#[test]
fn parameters_that_are_not_of_their_kind_are_refused_with_a_code_and_nothing_breaks() {
    let dir = enrolled();
    let node = Running::start(dir.path(), &[]);
    let document: Value = serde_json::from_str(DOCUMENT).unwrap();
    let odd = [
        json!(null),
        json!(-1),
        json!(1.5),
        json!(true),
        json!(""),
        json!("18446744073709551616"),
        json!("\u{0}"),
        json!("x".repeat(10_000)),
        json!([]),
        json!([[[]]]),
        json!({}),
        json!({ "side": "buy" }),
    ];
    for method in document["methods"].as_array().unwrap() {
        let (name, known) = (&method["name"], method["params"].as_array().unwrap());
        // What takes an id of a subscription answers no POST at all.
        if known.is_empty() || name.as_str().unwrap().contains("subscribe") {
            continue;
        }
        for value in &odd {
            let given = known.iter().map(|it| (it["name"].as_str().unwrap(), value.clone()));
            let by_name: Map<String, Value> = given.map(|(it, v)| (it.to_owned(), v)).collect();
            let (status, answer) = node.call(&node.cookie, &call(method, &Value::Object(by_name)));
            assert_eq!(status, 200, "{name} with {value}");
            if let Some(code) = answer["error"]["code"].as_i64() {
                let told = method["errors"].as_array().unwrap();
                let is_known = told.iter().any(|it| it["code"] == code);
                assert!(is_known, "{name} with {value}: {answer}");
            }
        }
        let (_, answer) = node.call(&node.cookie, &call(method, &json!({ "no_such": 1 })));
        let is_needed = known.iter().any(|it| it["required"] == true);
        let code = answer["error"]["code"].as_i64();
        assert!(!is_needed || code == Some(BAD_PARAMETER), "{name} without parameters: {answer}");
    }
    assert_eq!(node.get("/health").0, 200, "it goes on");
}

#[test]
fn a_value_of_another_shape_is_noticed() {
    let schemas = json!({ "Trade": {
        "type": "object", "required": ["index"],
        "properties": { "index": { "type": "integer" }, "due_msat": { "type": ["string", "null"] } },
    } });
    let schemas = schemas.as_object().unwrap();
    let list = json!({ "type": "array", "items": { "$ref": "#/components/schemas/Trade" } });
    let odd = |value: Value| misfit(&value, &list, schemas, "it");
    assert_eq!(odd(json!([{ "index": 1, "due_msat": null }])), None);
    for value in [
        json!([{ "due_msat": "1" }]),
        json!([{ "index": "1" }]),
        json!([{ "index": 1, "due_msat": 1 }]),
        json!([{ "index": 1, "more": 1 }]),
        json!({}),
    ] {
        assert!(odd(value.clone()).is_some(), "{value}");
    }
}
