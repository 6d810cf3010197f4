//! Maps of JSON over HTTP: what to ask a device, and where what stands in its answers.

use boltgrid_protocol::units::Power;
use serde::{Deserialize, Serialize};

use super::super::json::{JsonPoint, JsonPoints, JsonRejected};
use crate::shown::Shown;

/// Most requests of one map.
const REQUESTS_MAX: usize = 8;
/// Longest path of a request, and longest body.
const TEXT_MAX: usize = 2_048;
/// Stands in requests for the channel that the configuration names.
const CHANNEL: &str = "{channel}";

/// The maps that are shipped, by name.
pub const SHIPPED: [(&str, &str); 8] = [
    ("fronius-grid", include_str!("maps/fronius-grid.toml")),
    ("fronius-meter", include_str!("maps/fronius-meter.toml")),
    ("fronius-pv", include_str!("maps/fronius-pv.toml")),
    ("homewizard", include_str!("maps/homewizard.toml")),
    ("shelly-em", include_str!("maps/shelly-em.toml")),
    ("shelly-em1", include_str!("maps/shelly-em1.toml")),
    ("shelly-switch", include_str!("maps/shelly-switch.toml")),
    ("tasmota", include_str!("maps/tasmota.toml")),
];

/// A map.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpMap {
    /// What to ask, in order.
    pub request: Vec<HttpRequest>,
}

/// A request, and what stands in its answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpRequest {
    /// The path with its query, from the first `/` on.
    pub path: String,
    /// How to ask; default `GET`.
    #[serde(default)]
    pub method: Method,
    /// What to send along, as JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// Where what stands. Of several points of one quantity the first that is there counts.
    pub point: Vec<JsonPoint>,
}

/// How to ask.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// Asking for what is there.
    #[default]
    Get,
    /// Sending something along.
    Post,
}

/// A request that is ready to be sent.
#[derive(Clone, Debug)]
pub(super) struct ReadyRequest {
    pub(super) path: String,
    pub(super) method: Method,
    pub(super) body: Option<String>,
    pub(super) points: JsonPoints,
}

impl HttpMap {
    /// The map that is shipped under a name.
    ///
    /// # Errors
    ///
    /// Which names there are.
    pub fn shipped(name: &str) -> Result<Self, String> {
        let Some((_, text)) = SHIPPED.iter().find(|(shipped, _)| *shipped == name) else {
            let names = SHIPPED.map(|(name, _)| name).join(", ");
            return Err(format!("there is no map `{name}`; there are {names}"));
        };
        Self::from_toml(text)
    }

    /// A map as it is written.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn from_toml(text: &str) -> Result<Self, String> {
        toml::from_str(text).map_err(|error| error.to_string())
    }

    /// Checks the map, and puts the channel in.
    pub(super) fn ready(&self, channel: u8) -> Result<Vec<ReadyRequest>, String> {
        let Self { request } = self;
        if request.is_empty() || request.len() > REQUESTS_MAX {
            return Err(format!("the map has {} requests, not 1 to {REQUESTS_MAX}", request.len()));
        }
        let ready = request.iter().map(|request| {
            let path = request.path.replace(CHANNEL, &channel.to_string());
            let printable = path.bytes().all(|byte| byte.is_ascii_graphic());
            if !path.starts_with('/') || !printable || path.len() > TEXT_MAX {
                return Err(format!(
                    "the request path `{path}` must begin with `/`, with spaces written as %20"
                ));
            }
            let body = request.body.clone();
            if body.as_ref().is_some_and(|body| body.len() > TEXT_MAX) {
                return Err(format!(
                    "the body to send to `{path}` is longer than {TEXT_MAX} bytes"
                ));
            }
            let points = JsonPoints::new(&request.point, channel);
            let points = points.map_err(|problem| format!("`{path}`: {problem}"))?;
            Ok(ReadyRequest { path, method: request.method, body, points })
        });
        ready.collect()
    }

    /// What answers to the requests show, in order: for trying a map out.
    ///
    /// # Errors
    ///
    /// [`JsonRejected`] of an answer; or what is wrong with the map.
    pub fn read(
        &self,
        channel: u8,
        answers: &[&str],
        rated: Option<Power>,
    ) -> Result<Result<Shown, JsonRejected>, String> {
        let mut shown = Shown::default();
        for (request, answer) in self.ready(channel)?.iter().zip(answers) {
            if let Err(rejected) = request.points.read(answer, rated, &mut shown) {
                return Ok(Err(rejected));
            }
        }
        Ok(Ok(shown))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_shipped_maps_are_good() {
        for (name, _) in SHIPPED {
            let map = HttpMap::shipped(name).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(!map.ready(1).unwrap_or_else(|error| panic!("{name}: {error}")).is_empty());
        }
        assert!(HttpMap::shipped("shelly").unwrap_err().contains("shelly-em1"));
    }

    #[test]
    fn no_map_takes_the_counters_of_a_meter_that_does_not_net_its_phases() {
        for name in ["shelly-em", "shelly-switch"] {
            let map = HttpMap::shipped(name).unwrap();
            let points = map.request.iter().flat_map(|request| &request.point);
            assert!(points.clone().any(|point| point.quantity.name() == "power"));
            assert!(!points.into_iter().any(|point| point.quantity.is_register()), "{name}");
        }
    }

    #[test]
    fn mistakes_in_a_map_are_named() {
        let refused = |text: &str, why: &str| {
            let error =
                HttpMap::from_toml(text).and_then(|map| map.ready(0).map(drop)).unwrap_err();
            assert!(error.contains(why), "{error}");
        };
        refused("request = []", "0 requests");
        refused("[[request]]\npath = \"a\"\npoint = []", "must begin with `/`");
        refused("[[request]]\npath = \"/a b\"\npoint = []", "%20");
        refused("[[request]]\npath = \"/a\"\npoint = []", "0 points");
        refused("[[request]]\npaht = \"/a\"", "paht");
        let point = "quantity = \"powr\"\npath = \"$.a\"\nunit = \"W\"";
        refused(&format!("[[request]]\npath = \"/a\"\n[[request.point]]\n{point}"), "powr");
    }
}
