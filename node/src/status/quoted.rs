//! Serde for 64-bit integers as strings, which JavaScript can hold.
//!
//! [`Quoted`] and [`QuotedOption`] are the same as types: what JSON-RPC shows names these, so that its schema
//! says that the number is a string.
//! Not for: numbers that fit 32 bits.

use std::borrow::Cow;
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
