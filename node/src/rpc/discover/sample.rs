//! Examples made of schemas: for every method one call and what its answer looks like.
//! Not for: true answers; a test holds those of a real node against the same schemas.

use serde_json::{Map, Value, json};

/// What a parameter of this name may be.
pub(super) fn parameter(name: &str) -> Option<Value> {
    Some(match name {
        "interval" => json!("5933334"),
        "from_interval" | "before_interval" | "last_interval" => json!("5933000"),
        "from_unix_ms" | "before_unix_ms" | "until_unix_ms" => json!("1780000000000"),
        "day" => json!("20613"),
        "amount_sat" => json!("25000"),
        "amount_msat" => json!("25000"),
        "description" => json!("firewood"),
        "invoice" => json!("lnbcrt250n1example"),
        "counterparty" | "channel" | "escrow" | "to" | "payment_hash" => json!("ab".repeat(32)),
        "machine" => json!("cellar"),
        "filter" => json!("info,boltgrid=debug"),
        "place" => json!("workshop"),
        "receiver" => json!("phone"),
        "power_w" => json!(2_000),
        "for_s" => json!(3_600),
        "inside_m_celsius" | "outside_m_celsius" => json!(19_500),
        "dry_run" => json!(true),
        "address" => json!("bcrt1qexampleexampleexampleexampleexample00"),
        _ => return None,
    })
}

/// Something that a schema allows.
pub(super) fn of(schema: &Value, schemas: &Map<String, Value>, name: &str) -> Value {
    if let Some(known) = parameter(name).filter(|it| it.is_string() && schema["type"] == "string") {
        return known;
    }
    if let Some(path) = schema["$ref"].as_str() {
        let target = path.rsplit('/').next().expect("a path has an end");
        return of(&schemas[target], schemas, name);
    }
    if let Some(value) = schema.get("const") {
        return value.clone();
    }
    if let Some(values) = schema["enum"].as_array() {
        return values.first().cloned().unwrap_or_default();
    }
    for any in ["anyOf", "oneOf", "allOf"] {
        if let Some(first) = schema[any].as_array().and_then(|it| it.first()) {
            return of(first, schemas, name);
        }
    }
    let kind = schema["type"].as_str().or_else(|| schema["type"][0].as_str());
    match kind {
        Some("object") => {
            let properties = schema["properties"].as_object().into_iter().flatten();
            let mut shown: Map<String, Value> = properties
                .map(|(name, property)| (name.clone(), of(property, schemas, name)))
                .collect();
            if let Some(more) = schema.get("additionalProperties").filter(|it| it.is_object()) {
                shown.insert("late".to_owned(), of(more, schemas, name));
            }
            Value::Object(shown)
        }
        Some("array") => json!([of(&schema["items"], schemas, name)]),
        Some("string") if schema.get("pattern").is_some() => json!("1500"),
        Some("string") => json!("text"),
        Some("integer") => json!(1),
        Some("boolean") => json!(true),
        _ => Value::Null,
    }
}
