//! Makes the `OpenRPC` document of the traits and types, and holds the committed one against it.
//! Not for: reading the traits ([`super::source`]).

use std::collections::BTreeMap;
use std::path::Path;

use schemars::JsonSchema;
use schemars::generate::{SchemaGenerator, SchemaSettings};
use serde_json::{Map, Value, json};

use super::source::{Method, methods};
use super::{DOCUMENT, sample};
use crate::instructions::{Instructions, StepTerms};
use crate::rpc::code::Code;
use crate::rpc::{
    alert, by_hand, checks, escrow, flows, forgive, grid, kept, log, market, meter, offer, opening,
    order, past, payment, peer, roles, settlement, wallet,
};
use crate::status::shapes::ProductShape;
use crate::{channels, dispatcher, status};

/// The version of `OpenRPC`.
const OPENRPC: &str = "1.3.2";

/// What makes the schema of one type.
type Shape = fn(&mut SchemaGenerator) -> Value;

macro_rules! shapes {
    ($($of:path),* $(,)?) => {
        BTreeMap::from([$((
            stringify!($of).rsplit("::").next().unwrap().trim(), schema::<$of> as Shape
        )),*])
    };
}

fn schema<T: JsonSchema>(generator: &mut SchemaGenerator) -> Value {
    generator.subschema_for::<T>().to_value()
}

/// Every type that a method names, by its last name.
fn shapes() -> BTreeMap<&'static str, Shape> {
    let mut shapes = shapes![
        alert::AlertsReport,
        alert::ToldReport,
        channels::PlanReport,
        checks::AnomalyReport,
        checks::FeederReport,
        checks::QualityReport,
        dispatcher::DispatchStatus,
        dispatcher::GasDay,
        dispatcher::Log,
        escrow::EscrowReport,
        escrow::ProposedReport,
        escrow::ProposeTerms,
        flows::CorrectionReport,
        flows::FlowReport,
        forgive::ForgiveReport,
        grid::CharterReport,
        grid::LineReport,
        by_hand::BegunReport,
        by_hand::ByHandReport,
        by_hand::InvoiceReport,
        by_hand::LookedUpReport,
        grid::MemberReport,
        kept::RegisterReport,
        log::LogReport,
        market::PriceReport,
        meter::MeterReport,
        meter::ReadingsReport,
        offer::AcceptReport,
        offer::AcceptTerms,
        offer::ForwardReport,
        offer::OfferList,
        offer::OfferReport,
        offer::OfferTerms,
        opening::GivenReport,
        opening::RulingReport,
        order::InstructionsReport,
        order::OwnOrderReport,
        past::BalanceReport,
        past::ChannelPastReport,
        past::TransactionReport,
        payment::AccountReport,
        payment::DisputeReport,
        payment::PaymentReport,
        peer::PeerReport,
        settlement::DueReport,
        settlement::IntervalSettlement,
        settlement::SummaryReport,
        status::BookReport,
        status::IntervalReport,
        status::NodeStatus,
        status::TradeReport,
        wallet::AddressReport,
        wallet::BalancesReport,
        wallet::ChannelReport,
        wallet::OpenedReport,
        wallet::OpenTerms,
        wallet::SentReport,
        Instructions,
        StepTerms,
    ];
    shapes.insert("Product", schema::<ProductShape>);
    shapes
}

/// The schema of a Rust type as it stands in a signature.
fn of_type(of: &str, generator: &mut SchemaGenerator) -> Value {
    let inside = |outer: &str| of.strip_prefix(outer).and_then(|it| it.strip_suffix('>'));
    if let Some(items) = inside("Vec<") {
        return json!({ "type": "array", "items": of_type(items, generator) });
    }
    if let Some(present) = inside("Option<") {
        return json!({ "anyOf": [of_type(present, generator), { "type": "null" }] });
    }
    match of {
        "()" => json!({ "type": "null" }),
        "String" => json!({ "type": "string" }),
        "bool" => json!({ "type": "boolean" }),
        "u32" => json!({ "type": "integer", "minimum": 0, "maximum": u32::MAX }),
        "i32" => json!({ "type": "integer", "minimum": i32::MIN, "maximum": i32::MAX }),
        "Box<RawValue>" => json!({ "type": "object" }),
        named => {
            let shape = *shapes().get(named).unwrap_or_else(|| panic!("{named} has no shape here"));
            shape(generator)
        }
    }
}

/// The codes by which a method may refuse, beside those of JSON-RPC itself.
fn codes(method: &Method) -> Vec<Code> {
    let (noun, word) = method.name.split_once('.').unwrap();
    let mut codes = vec![Code::NotAllowed, Code::TooOften];
    if !method.params.is_empty() {
        codes.push(Code::BadParameter);
    }
    match noun {
        "payment" if ["invoice", "pay", "look_up", "by_hand"].contains(&word) => {
            codes.extend([Code::NoLightning, Code::NotFound, Code::NotDone, Code::Busy]);
        }
        "wallet" | "channel" | "escrow" => {
            codes.extend([Code::NoLightning, Code::NotFound, Code::NotDone, Code::Busy]);
        }
        "offer" | "forward" | "alert" | "dispatch" => {
            codes.extend([Code::NotFound, Code::NotDone, Code::Busy]);
        }
        "node" => codes.push(Code::NotDone),
        "market" | "settlement" | "payment" | "dispute" | "meter" => {
            codes.extend([Code::Archive, Code::NotDone, Code::Busy]);
        }
        _ => {}
    }
    match method.subscription {
        Some(_) => codes.extend([Code::TooManySubscriptions, Code::TooSlow]),
        None => codes.push(Code::AnswerTooLong),
    }
    codes
}

fn error(code: Code) -> Value {
    json!({ "code": code.number(), "message": code.meaning() })
}

/// The schemas that methods name, kept together for parameters and for results.
struct Schemas {
    given: SchemaGenerator,
    shown: SchemaGenerator,
}

fn described(method: &Method, schemas: &mut Schemas) -> Value {
    let role = roles::needed(&method.name).expect("every method has a role").word();
    let params = method.params.iter().map(|(name, of)| {
        let given = of.strip_prefix("Option<").and_then(|it| it.strip_suffix('>'));
        let schema = of_type(given.unwrap_or(of), &mut schemas.given);
        json!({ "name": name, "required": given.is_none(), "schema": schema })
    });
    let params: Vec<Value> = params.collect();
    let mut shown = json!({
        "name": method.name,
        "summary": method.docs.split_inclusive(". ").next().unwrap_or_default().trim(),
        "description": format!("{} Needs the role `{role}`.", method.docs),
        "x-role": role,
        "paramStructure": if method.is_by_name { "by-name" } else { "by-position" },
        "params": params,
        "errors": codes(method).into_iter().map(error).collect::<Vec<_>>(),
    });
    let result = of_type(&method.result, &mut schemas.shown);
    match &method.subscription {
        None => shown["result"] = json!({ "name": "result", "schema": result }),
        Some((unsubscribe, news)) => {
            let id = json!({ "type": ["integer", "string"] });
            shown["result"] = json!({ "name": "subscription", "schema": id });
            shown["x-subscription"] =
                json!({ "unsubscribe": unsubscribe, "notification": news, "schema": result });
        }
    }
    shown
}

fn unsubscribing(method: &Method) -> Option<Value> {
    let (unsubscribe, _) = method.subscription.as_ref()?;
    let id = json!({ "type": ["integer", "string"] });
    Some(json!({
        "name": unsubscribe,
        "summary": format!("Ends a subscription of `{}`.", method.name),
        "description": format!("Ends a subscription of `{}`. Needs the role `read`.", method.name),
        "x-role": "read",
        "paramStructure": "by-position",
        "params": [{ "name": "subscription", "required": true, "schema": id }],
        "errors": [error(Code::NotAllowed), error(Code::TooOften)],
        "result": { "name": "result", "schema": { "type": "boolean" } },
    }))
}

/// Adds one example to each method.
fn exemplify(method: &mut Value, schemas: &Map<String, Value>) {
    let given: Vec<Value> = method["params"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|it| it["required"] == true)
        .map(|it| {
            let name = it["name"].as_str().unwrap();
            let value = sample::parameter(name);
            let value = value.unwrap_or_else(|| sample::of(&it["schema"], schemas, name));
            json!({ "name": name, "value": value })
        })
        .collect();
    let result = sample::of(&method["result"]["schema"], schemas, "result");
    method["examples"] = json!([{
        "name": "one call", "params": given, "result": { "name": "result", "value": result },
    }]);
}

/// The document as the sources have it.
fn document() -> Value {
    let settings = || {
        SchemaSettings::draft07().with(|it| {
            it.definitions_path = "/components/schemas".into();
            it.meta_schema = None;
        })
    };
    let mut schemas = Schemas {
        given: settings().with(|it| it.inline_subschemas = true).into_generator(),
        shown: settings().for_serialize().into_generator(),
    };
    let sources = methods();
    let mut described: Vec<Value> =
        sources.iter().map(|method| described(method, &mut schemas)).collect();
    described.extend(sources.iter().filter_map(unsubscribing));
    described.sort_by_key(|method| method["name"].as_str().unwrap().to_owned());
    let shown = schemas.shown.take_definitions(true);
    described.iter_mut().for_each(|method| exemplify(method, &shown));
    json!({
        "openrpc": OPENRPC,
        "info": {
            "title": "Boltgrid",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "JSON-RPC of a Boltgrid node, by POST and WebSocket at /rpc. 64-bit \
                integers are strings; names end in their unit. See docs/rpc.md for who may call.",
        },
        "servers": [{ "name": "this machine", "url": "http://127.0.0.1:8733/rpc" }],
        "methods": described,
        "components": { "schemas": shown },
    })
}

fn text() -> String {
    serde_json::to_string_pretty(&document()).unwrap() + "\n"
}

#[test]
#[ignore = "writes docs/openrpc.json"]
fn the_document_is_written_anew() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/openrpc.json");
    std::fs::write(path, text()).unwrap();
}

#[test]
fn the_committed_document_is_what_the_methods_and_types_say() {
    assert!(
        DOCUMENT == text(),
        "run `cargo test -p boltgrid --lib -- the_document_is_written_anew --ignored`"
    );
}

#[test]
fn every_method_that_is_served_is_documented_with_role_errors_and_an_example() {
    let document = document();
    let methods = document["methods"].as_array().unwrap();
    let names: Vec<&str> = methods.iter().map(|it| it["name"].as_str().unwrap()).collect();
    let served: Vec<&str> = roles::METHODS.iter().map(|it| it.0).collect();
    assert_eq!(names, served);
    for method in methods {
        let name = &method["name"];
        assert!(method["summary"].as_str().unwrap().len() > 10, "{name} says what it does");
        assert!(method["errors"].as_array().unwrap().len() >= 2, "{name}");
        assert_eq!(method["examples"].as_array().unwrap().len(), 1, "{name}");
        assert!(!method["description"].as_str().unwrap().contains("[`"), "{name} links to code");
    }
}

/// Where a schema has a number of 64 bits, anywhere in it.
fn long_number(schema: &Value, at: &str) -> Option<String> {
    match schema {
        Value::Object(fields) => {
            if fields.get("format").and_then(Value::as_str).is_some_and(|it| it.ends_with("64")) {
                return Some(at.to_owned());
            }
            fields.iter().find_map(|(name, it)| long_number(it, &format!("{at}.{name}")))
        }
        Value::Array(items) => items.iter().find_map(|it| long_number(it, at)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

#[test]
fn every_number_of_sixty_four_bits_is_a_string_and_every_field_says_what_it_is() {
    let document = document();
    assert_eq!(long_number(&document, "the document"), None);
    for (shape, schema) in document["components"]["schemas"].as_object().unwrap() {
        for (field, about) in schema["properties"].as_object().into_iter().flatten() {
            let is_said = about["description"].is_string() || about.get("$ref").is_some();
            assert!(is_said, "{shape}.{field} says what it is");
        }
    }
}
