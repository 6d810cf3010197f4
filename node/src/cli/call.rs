//! `boltgrid rpc`: any method of the running node, with parameters as JSON, for scripts and for those
//! who look closer.
//! Not for: what a method means; see docs/rpc.md.

use std::io::Write;

use clap::Args;
use jsonrpsee::core::client::ClientT as _;
use jsonrpsee::core::traits::ToRpcParams;
use serde_json::Value;
use serde_json::value::RawValue;

use super::error::CliError;
use super::node::Running;
use super::show;

/// Arguments of `rpc`.
#[derive(Debug, Args)]
pub(super) struct Call {
    /// The method, such as `node.status`
    #[arg(value_name = "METHOD")]
    method: String,
    /// Its parameters as a JSON object by name or as an array in order, such as '{"interval":"5930112"}'
    #[arg(value_name = "JSON")]
    parameters: Option<String>,
    #[command(flatten)]
    running: Running,
}

/// Parameters as they were typed.
struct Parameters(Option<Box<RawValue>>);

impl ToRpcParams for Parameters {
    fn to_rpc_params(self) -> Result<Option<Box<RawValue>>, serde_json::Error> {
        Ok(self.0)
    }
}

impl Call {
    pub(super) fn run(self, out: &mut impl Write) -> Result<(), CliError> {
        let Self { method, parameters, running } = self;
        let parameters = parameters.map(typed).transpose()?;
        let answer: Value = running
            .door()?
            .ask(|node| async move { node.request(&method, Parameters(parameters)).await })?;
        show::json(out, &answer)
    }
}

/// What was typed, if it is an object or an array.
fn typed(text: String) -> Result<Box<RawValue>, CliError> {
    let wrong = |problem: String| CliError::Argument { argument: "JSON", problem };
    let value: Value =
        serde_json::from_str(&text).map_err(|error| wrong(format!("is no JSON: {error}")))?;
    if !value.is_object() && !value.is_array() {
        let example =
            "must be an object by name or an array in order, such as '{\"interval\":\"5930112\"}'";
        return Err(wrong(example.to_owned()));
    }
    RawValue::from_string(text).map_err(|error| wrong(format!("is no JSON: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_an_object_or_an_array_and_go_out_as_they_were_typed() {
        for text in ["{\"a\": 1}", "[1, \"2\"]", "[]"] {
            assert_eq!(typed(text.to_owned()).unwrap().get(), text);
        }
        for (text, words) in [("5", "object by name"), ("{", "is no JSON"), ("'a'", "is no JSON")] {
            let refused = typed(text.to_owned()).unwrap_err().to_string();
            assert!(refused.contains(words), "{refused}");
        }
    }
}
