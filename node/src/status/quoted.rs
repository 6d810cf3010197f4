//! Serde for 64-bit integers as strings, which JavaScript can hold.
//!
//! [`Quoted`] and [`QuotedOption`] are the same as types: what JSON-RPC shows names these, so that its schema
//! says that the number is a string. [`QuotedCounts`] is for numbers that stand under names.
//! Not for: numbers that fit 32 bits.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serializer};

/// Writes a number as text.
///
/// # Errors
///
/// Those of the serializer.
pub fn serialize<T: Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

/// Reads a number from text.
///
/// # Errors
///
/// Those of the deserializer, or text that is not such a number.
pub fn deserialize<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: FromStr<Err: Display>,
    D: Deserializer<'de>,
{
    String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
}

/// The same for a number that may be absent.
pub mod option {
    use super::{Deserialize, Deserializer, Display, Error, FromStr, Serializer};

    /// Writes a number as text, or null.
    ///
    /// # Errors
    ///
    /// Those of the serializer.
    pub fn serialize<T: Display, S: Serializer>(
        value: &Option<T>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => serializer.serialize_some(&value.to_string()),
            None => serializer.serialize_none(),
        }
    }

    /// Reads a number from text, or null.
    ///
    /// # Errors
    ///
    /// Those of the deserializer, or text that is not such a number.
    pub fn deserialize<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
    where
        T: FromStr<Err: Display>,
        D: Deserializer<'de>,
    {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| text.parse().map_err(D::Error::custom)).transpose()
    }
}

/// A number as text, with a schema that says so.
#[derive(Debug)]
pub struct Quoted;

/// A number as text, or null, with a schema that says so.
#[derive(Debug)]
pub struct QuotedOption;

/// How often something happened, by name, each number as text, with a schema that says so.
#[derive(Debug)]
pub struct QuotedCounts;

/// The same by two names, one within the other.
#[derive(Debug)]
pub struct QuotedCountsByPlace;

/// A decimal number.
const PATTERN: &str = "^-?[0-9]+$";

impl Quoted {
    /// Writes a number as text.
    ///
    /// # Errors
    ///
    /// Those of the serializer.
    pub fn serialize<T: Display, S: Serializer>(
        value: &T,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serialize(value, serializer)
    }

    /// Reads a number from text.
    ///
    /// # Errors
    ///
    /// Those of the deserializer, or text that is not such a number.
    pub fn deserialize<'de, T, D>(deserializer: D) -> Result<T, D::Error>
    where
        T: FromStr<Err: Display>,
        D: Deserializer<'de>,
    {
        deserialize(deserializer)
    }
}

impl QuotedOption {
    /// Writes a number as text, or null.
    ///
    /// # Errors
    ///
    /// Those of the serializer.
    pub fn serialize<T: Display, S: Serializer>(
        value: &Option<T>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        option::serialize(value, serializer)
    }

    /// Reads a number from text, or null.
    ///
    /// # Errors
    ///
    /// Those of the deserializer, or text that is not such a number.
    pub fn deserialize<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
    where
        T: FromStr<Err: Display>,
        D: Deserializer<'de>,
    {
        option::deserialize(deserializer)
    }
}

type Counts = BTreeMap<String, u64>;
type CountsByPlace = BTreeMap<String, Counts>;

impl QuotedCounts {
    /// Writes the numbers as text.
    ///
    /// # Errors
    ///
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(counts: &Counts, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(counts.iter().map(|(name, count)| (name, count.to_string())))
    }

    /// Reads the numbers from text.
    ///
    /// # Errors
    ///
    /// Those of the deserializer, or text that is not such a number.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Counts, D::Error> {
        numbers(BTreeMap::deserialize(deserializer)?)
    }
}

impl QuotedCountsByPlace {
    /// Writes the numbers as text.
    ///
    /// # Errors
    ///
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(
        places: &CountsByPlace,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_map(places.iter().map(|(place, counts)| {
            let texts: BTreeMap<&str, String> =
                counts.iter().map(|(name, count)| (name.as_str(), count.to_string())).collect();
            (place, texts)
        }))
    }

    /// Reads the numbers from text.
    ///
    /// # Errors
    ///
    /// Those of the deserializer, or text that is not such a number.
    pub fn deserialize<'de, D>(deserializer: D) -> Result<CountsByPlace, D::Error>
    where
        D: Deserializer<'de>,
    {
        let places = BTreeMap::<String, BTreeMap<String, String>>::deserialize(deserializer)?;
        places.into_iter().map(|(place, texts)| Ok((place, numbers(texts)?))).collect()
    }
}

fn numbers<E: Error>(texts: BTreeMap<String, String>) -> Result<Counts, E> {
    let number = |text: String| text.parse().map_err(E::custom);
    texts.into_iter().map(|(name, text)| Ok((name, number(text)?))).collect()
}

impl JsonSchema for QuotedCounts {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "QuotedCounts".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let count = Quoted::json_schema(generator);
        json_schema!({ "type": "object", "additionalProperties": count })
    }
}

impl JsonSchema for QuotedCountsByPlace {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "QuotedCountsByPlace".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let counts = QuotedCounts::json_schema(generator);
        json_schema!({ "type": "object", "additionalProperties": counts })
    }
}

impl JsonSchema for Quoted {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Quoted".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": PATTERN })
    }
}

impl JsonSchema for QuotedOption {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "QuotedOption".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "null"], "pattern": PATTERN })
    }
}

#[cfg(test)]
mod tests {
    use serde::Serialize;
    use serde_json::{Value, json};

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
    struct Refused {
        #[serde(with = "QuotedCounts")]
        by_reason: Counts,
        #[serde(with = "QuotedCountsByPlace")]
        by_place: CountsByPlace,
    }

    #[test]
    fn counts_by_name_are_text_that_reads_back_however_large_they_are() {
        let counts: Counts = [("late".to_owned(), u64::MAX), ("stale".to_owned(), 0)].into();
        let by_place = [("votes".to_owned(), counts.clone()), ("acks".to_owned(), Counts::new())];
        let refused = Refused { by_reason: counts, by_place: by_place.into() };
        let shown = json!(refused);
        let said = json!({ "late": u64::MAX.to_string(), "stale": "0" });
        assert_eq!(shown, json!({ "by_reason": said, "by_place": { "acks": {}, "votes": said } }));
        assert_eq!(serde_json::from_value::<Refused>(shown).unwrap(), refused);
        for wrong in [json!({ "late": 1 }), json!({ "late": "-1" }), json!({ "late": "much" })] {
            let read = |by_reason: &Value, by_place: &Value| {
                let refused = json!({ "by_reason": by_reason, "by_place": by_place });
                serde_json::from_value::<Refused>(refused)
            };
            assert!(read(&wrong, &json!({})).is_err(), "{wrong}");
            assert!(read(&json!({}), &json!({ "votes": wrong })).is_err(), "{wrong}");
        }
    }

    #[test]
    fn their_schema_says_that_they_are_text() {
        let schema = schemars::schema_for!(Refused).to_value();
        let counts = &schema["properties"]["by_reason"]["additionalProperties"];
        assert_eq!((&counts["type"], &counts["pattern"]), (&json!("string"), &json!(PATTERN)));
        let places = &schema["properties"]["by_place"]["additionalProperties"];
        assert_eq!(places["additionalProperties"], *counts);
    }
}
