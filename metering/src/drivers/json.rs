//! Quantities in JSON: where they stand, by `JSONPath` (RFC 9535), and what they are there.
//!
//! A number is taken by its text, so that no float comes between. What a path names and is not there,
//! or is `null`, is absent; what is there and is no number is an error.
//! Not for: how the JSON gets here (see [`super::http`] and [`super::mqtt`]).

use std::collections::{BTreeMap, BTreeSet};

use boltgrid_protocol::units::Power;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use serde_json_path::{JsonPath, LocatedNode, PathElement};

use super::PointRejected;
use crate::decimal::Decimal;
use crate::quantity::{Quantity, Unit};
use crate::register::Width;
use crate::shown::Shown;

/// Most points of one map.
const POINTS_MAX: usize = 64;
/// Most paths of one point.
const PATHS_MAX: usize = 16;
/// Most numbers that one path may name.
const NODES_MAX: usize = 64;
/// Stands in paths for the channel that the configuration names.
const CHANNEL: &str = "{channel}";

/// Where a quantity stands, and in which unit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JsonPoint {
    /// Which quantity.
    pub quantity: Quantity,
    /// One `JSONPath`, or several whose numbers are added; one that names several numbers adds them.
    /// By default all there is.
    #[serde(default)]
    pub path: Paths,
    /// In which unit, such as `W` or `kWh`.
    pub unit: String,
    /// The number is to be multiplied by this, such as a ratio of current transformers.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub multiply: u16,
    /// And divided by this.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub divide: u16,
    /// Whether its sign is the other way round here.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub negate: bool,
    /// Whether the device says `null` for zero, as inverters do at night; otherwise that is absent.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub null_means_zero: bool,
}

/// One path or several.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Paths {
    /// One.
    One(String),
    /// Several.
    Several(Vec<String>),
}

impl Default for Paths {
    fn default() -> Self {
        Self::One("$".to_owned())
    }
}

const fn one() -> u16 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
const fn is_one(factor: &u16) -> bool {
    *factor == 1
}

/// Why JSON is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonRejected {
    /// It is no JSON.
    #[error("it is no JSON ({0})")]
    Syntax(String),
    /// What stands at a path is no number.
    #[error("{} is no number of its own: {what}", quantity.name())]
    NoNumber {
        /// Which quantity stands there.
        quantity: Quantity,
        /// What is there instead.
        what: String,
    },
    /// The number cannot be.
    #[error("{} {source}", quantity.name())]
    Impossible {
        /// Which quantity stands there.
        quantity: Quantity,
        /// What is wrong with it.
        source: PointRejected,
    },
}

/// Points that are ready to be looked up. Of several points of one quantity the first that is there
/// counts.
#[derive(Clone, Debug)]
pub struct JsonPoints {
    points: Vec<Point>,
}

#[derive(Clone, Debug)]
struct Point {
    quantity: Quantity,
    paths: Vec<JsonPath>,
    unit: Unit,
    factor: i32,
    divisor: u32,
    null_means_zero: bool,
}

impl JsonPoints {
    /// Checks the points; `{channel}` in their paths becomes `channel`.
    ///
    /// # Errors
    ///
    /// What is wrong, for whoever wrote the map.
    pub fn new(points: &[JsonPoint], channel: u8) -> Result<Self, String> {
        if points.is_empty() || points.len() > POINTS_MAX {
            return Err(format!("has {} points, not 1 to {POINTS_MAX}", points.len()));
        }
        let ready = points.iter().map(|point| Point::new(point, channel));
        Ok(Self { points: ready.collect::<Result<_, _>>()? })
    }

    /// Puts down what `text` shows. Says how many quantities were there.
    ///
    /// # Errors
    ///
    /// [`JsonRejected`]; what was put down before is no use then.
    pub fn read(
        &self,
        text: &str,
        rated: Option<Power>,
        shown: &mut Shown,
    ) -> Result<usize, JsonRejected> {
        let document = Document::parse(text)?;
        let mut found = BTreeSet::new();
        for point in &self.points {
            if found.contains(&point.quantity) {
                continue;
            }
            let no_number =
                |what: String| JsonRejected::NoNumber { quantity: point.quantity, what };
            let Some(value) = point.look_up(&document).map_err(no_number)? else { continue };
            let value =
                value.to_thousandths_floor().map_err(|error| no_number(error.to_string()))?;
            let put = shown.put(point.quantity, value, Width::Float, rated);
            put.map_err(|source| JsonRejected::Impossible { quantity: point.quantity, source })?;
            found.insert(point.quantity);
        }
        Ok(found.len())
    }
}

impl Point {
    fn new(point: &JsonPoint, channel: u8) -> Result<Self, String> {
        let JsonPoint { quantity, multiply, divide, negate, null_means_zero, .. } = *point;
        let name = quantity.name();
        let unit = Unit::parse(&point.unit).map_err(|error| format!("{name}: {error}"))?;
        if unit.dimension != quantity.dimension() {
            return Err(format!("{name}: `{}` is a unit of something else", point.unit));
        }
        if multiply == 0 || divide == 0 {
            return Err(format!("{name}: neither `multiply` nor `divide` may be 0"));
        }
        let texts = match &point.path {
            Paths::One(text) => std::slice::from_ref(text),
            Paths::Several(texts) => texts.as_slice(),
        };
        if texts.is_empty() || texts.len() > PATHS_MAX {
            return Err(format!("{name}: {} paths, not 1 to {PATHS_MAX}", texts.len()));
        }
        let path = |text: &String| {
            let text = text.replace(CHANNEL, &channel.to_string());
            JsonPath::parse(&text)
                .map_err(|error| format!("{name}: `{text}` is no JSONPath: {error}"))
        };
        let paths = texts.iter().map(path).collect::<Result<_, _>>()?;
        let factor = if negate { -i32::from(multiply) } else { i32::from(multiply) };
        Ok(Self { quantity, paths, unit, factor, divisor: divide.into(), null_means_zero })
    }

    /// The sum of all that the paths name, in the base unit; `None` unless each names something.
    fn look_up(&self, document: &Document<'_>) -> Result<Option<Decimal>, String> {
        let mut sum = Decimal::ZERO;
        for path in &self.paths {
            let nodes = path.query_located(&document.value);
            if nodes.is_empty() {
                return Ok(None);
            }
            if nodes.len() > NODES_MAX {
                return Err(format!("more than {NODES_MAX} numbers"));
            }
            for node in nodes.iter() {
                let number = match document.number(node)? {
                    Some(text) => Decimal::parse(&text, self.unit.exponent)
                        .map_err(|error| error.to_string())?,
                    None if self.null_means_zero => Decimal::ZERO,
                    None => return Ok(None),
                };
                sum = sum.plus(number).map_err(|error| error.to_string())?;
            }
        }
        sum.times(self.factor, self.divisor).map(Some).map_err(|error| error.to_string())
    }
}

/// JSON twice: as values, where paths are looked up, and as text, where numbers are taken from.
struct Document<'a> {
    value: Value,
    text: &'a RawValue,
}

impl<'a> Document<'a> {
    fn parse(text: &'a str) -> Result<Self, JsonRejected> {
        let syntax = |error: serde_json::Error| JsonRejected::Syntax(error.to_string());
        let value = serde_json::from_str(text).map_err(syntax)?;
        Ok(Self { value, text: serde_json::from_str(text).map_err(syntax)? })
    }

    /// The text of the number at a node, be it a number or a string; `None` for `null`.
    fn number(&self, node: &LocatedNode<'_>) -> Result<Option<String>, String> {
        match node.node() {
            Value::Null => Ok(None),
            Value::String(text) => Ok(Some(text.trim().to_owned())),
            Value::Number(_) => self.text_at(node).map(Some),
            Value::Bool(_) => Err("it is true or false".to_owned()),
            Value::Array(_) => Err("it is a list".to_owned()),
            Value::Object(_) => Err("it is an object".to_owned()),
        }
    }

    /// The text at a node, as the device wrote it.
    fn text_at(&self, node: &LocatedNode<'_>) -> Result<String, String> {
        let mut text = self.text.get();
        for step in node.location().iter() {
            let below = match step {
                PathElement::Name(name) => {
                    serde_json::from_str::<BTreeMap<String, &RawValue>>(text)
                        .map(|mut members| members.remove(*name))
                }
                PathElement::Index(index) => serde_json::from_str::<Vec<&RawValue>>(text)
                    .map(|elements| elements.get(*index).copied()),
            };
            let below = below.map_err(|error| error.to_string())?;
            text = below.ok_or("it is not where it was found")?.get();
        }
        Ok(text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(quantity: Quantity, paths: &[&str], unit: &str) -> JsonPoint {
        let path = Paths::Several(paths.iter().map(|path| (*path).to_owned()).collect());
        let unit = unit.to_owned();
        let (multiply, divide, negate, null_means_zero) = (1, 1, false, false);
        JsonPoint { quantity, path, unit, multiply, divide, negate, null_means_zero }
    }

    fn power(points: &[JsonPoint], text: &str) -> Result<Option<i64>, String> {
        let points = JsonPoints::new(points, 2)?;
        let mut shown = Shown::default();
        points.read(text, None, &mut shown).map_err(|error| error.to_string())?;
        Ok(shown.power.map(Power::to_milliwatts))
    }

    #[test]
    fn a_number_is_taken_as_it_is_written() {
        let energy = point(Quantity::Import, &["$.e"], "kWh");
        let points = JsonPoints::new(&[energy], 0).unwrap();
        let mut shown = Shown::default();
        // No 64-bit float has this value.
        assert_eq!(points.read("{\"e\": 9007199254.740993}", None, &mut shown), Ok(1));
        assert_eq!(shown.import.unwrap().count, 9_007_199_254_740_993);
        assert_eq!(points.read("{\"e\": \"1.5e1 \"}", None, &mut shown), Ok(1));
        assert_eq!(shown.import.unwrap().count, 15_000_000);
    }

    #[test]
    fn paths_are_added_up_and_all_must_be_there() {
        let both = [point(Quantity::Power, &["$.a", "$['b c'][*]"], "W")];
        assert_eq!(power(&both, r#"{"a": 1, "b c": [2.5, -0.25]}"#), Ok(Some(3_250)));
        assert_eq!(power(&both, r#"{"a": 1, "b c": []}"#), Ok(None));
        assert_eq!(power(&both, r#"{"a": null, "b c": [1]}"#), Ok(None));
        let fallback = [both[0].clone(), point(Quantity::Power, &["$.a"], "kW")];
        assert_eq!(power(&fallback, r#"{"a": 7}"#), Ok(Some(7_000_000)));
        let wanted = [point(Quantity::Power, &["$.all[?@.kind == 'grid'].w"], "W")];
        let text = r#"{"all": [{"kind": "pv", "w": 1}, {"kind": "grid", "w": 2}]}"#;
        assert_eq!(power(&wanted, text), Ok(Some(2_000)));
    }

    #[test]
    fn factors_and_the_channel_are_put_in() {
        let turned = JsonPoint {
            multiply: 50,
            divide: 3,
            negate: true,
            null_means_zero: true,
            ..point(Quantity::Power, &["$['em:{channel}']"], "W")
        };
        assert_eq!(
            power(std::slice::from_ref(&turned), r#"{"em:2": 3.3, "em:0": 1}"#),
            Ok(Some(-55_000))
        );
        assert_eq!(power(&[turned], r#"{"em:2": null}"#), Ok(Some(0)));
    }

    #[test]
    fn what_is_no_number_is_an_error() {
        let at = [point(Quantity::Power, &["$.a"], "W")];
        for (text, why) in [
            ("", "no JSON"),
            ("<html>", "no JSON"),
            ("{\"a\": 1", "no JSON"),
            ("{\"a\": 1} x", "no JSON"),
            ("{\"a\": true}", "true or false"),
            ("{\"a\": [1]}", "a list"),
            ("{\"a\": {}}", "an object"),
            ("{\"a\": \"on\"}", "`on` is no number"),
            ("{\"a\": \"NaN\"}", "no number"),
            ("{\"a\": 1e30}", "too large"),
            ("{\"a\": 1e14}", "is not within"),
        ] {
            let error = power(&at, text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
        let deep = format!("{}1{}", "[".repeat(5_000), "]".repeat(5_000));
        assert!(power(&at, &deep).unwrap_err().contains("no JSON"));
        let many = format!("[{}0]", "0,".repeat(NODES_MAX));
        let all = [point(Quantity::Power, &["$[*]"], "W")];
        assert!(power(&all, &many).unwrap_err().contains("more than"));
    }

    #[test]
    fn mistakes_in_points_are_named() {
        let refused = |point: JsonPoint, why: &str| {
            let error = JsonPoints::new(&[point], 0).unwrap_err();
            assert!(error.contains("power") && error.contains(why), "{error}");
        };
        refused(point(Quantity::Power, &["$.a"], "Wh"), "something else");
        refused(point(Quantity::Power, &["$.a"], "watts"), "kWh");
        refused(point(Quantity::Power, &["a.b"], "W"), "no JSONPath");
        refused(point(Quantity::Power, &[], "W"), "0 paths");
        refused(JsonPoint { divide: 0, ..point(Quantity::Power, &["$"], "W") }, "`divide`");
        assert!(JsonPoints::new(&[], 0).is_err());
    }
}
