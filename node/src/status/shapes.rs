//! What some types of other crates look like in JSON, for the schemas of JSON-RPC.
//!
//! The crates below know no schemas; a test holds these shapes against what the types are written as.
//! Not for: anything that is read or written; the types themselves are.

#![expect(dead_code, reason = "they only describe")]

use schemars::JsonSchema;

/// What a side of a trade looks like.
#[derive(JsonSchema)]
#[schemars(rename = "Side", rename_all = "snake_case")]
pub(crate) enum SideShape {
    Buy,
    Sell,
}

/// What a source looks like: what stands behind a step.
#[derive(JsonSchema)]
#[schemars(rename = "Source", rename_all = "snake_case")]
pub(crate) enum SourceShape {
    Load,
    Pv,
    PvMustRun,
    Battery,
    Miner,
    Generator,
}

/// What a product of offers looks like.
#[derive(JsonSchema)]
#[schemars(rename = "Product")]
pub(crate) struct ProductShape {
    /// What the author of the offer does.
    side: SideShape,
    /// What stands behind it.
    source: SourceShape,
}

/// What says which outcome of an escrow gives the amount to the payee.
#[derive(JsonSchema)]
#[schemars(rename = "Releases", rename_all = "snake_case")]
pub(crate) enum ReleasesShape {
    Delivered,
    Missed,
}

#[cfg(test)]
mod tests {
    use boltgrid_protocol::escrow::Releases;
    use boltgrid_protocol::offer::Product;
    use boltgrid_protocol::order::{Side, Source};
    use serde::Serialize;
    use serde_json::{Value, json};

    use super::*;

    fn check<S: JsonSchema>(values: &[impl Serialize]) {
        let written: Vec<Value> = values.iter().map(|it| json!(it)).collect();
        let schema = schemars::schema_for!(S).to_value();
        assert_eq!(schema["enum"], Value::Array(written), "{schema}");
    }

    #[test]
    fn shapes_are_what_the_types_are_written_as() {
        check::<SideShape>(&[Side::Buy, Side::Sell]);
        check::<ReleasesShape>(&[Releases::Delivered, Releases::Missed]);
        let (load, pv, press) = (Source::Load, Source::Pv, Source::PvMustRun);
        check::<SourceShape>(&[load, pv, press, Source::Battery, Source::Miner, Source::Generator]);
        let product = json!(Product { side: Side::Buy, source: Source::Load });
        let schema = schemars::schema_for!(ProductShape).to_value();
        let named = |it: &Value| it.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(named(&schema["properties"]), named(&product));
    }
}
