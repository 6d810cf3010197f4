//! The numbers behind a chart, as the script in the page takes them.

use axum::Json;
use axum::response::{IntoResponse, Response};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

/// A number in thousandths, written as a decimal: charts need no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Thousandths(pub(super) i64);

impl Serialize for Thousandths {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (whole, rest) = (self.0.unsigned_abs() / 1_000, self.0.unsigned_abs() % 1_000);
        let sign = if self.0 < 0 { "-" } else { "" };
        let text = format!("{sign}{whole}.{rest:03}");
        RawValue::from_string(text).map_err(serde::ser::Error::custom)?.serialize(serializer)
    }
}

/// One line, or row of bars, of a chart.
#[derive(Clone, Debug)]
pub(super) struct Series {
    pub(super) label: &'static str,
    pub(super) unit: &'static str,
    /// The name of the style sheet's colour.
    pub(super) colour: &'static str,
    /// `line` or `bars`.
    pub(super) style: &'static str,
    /// Series with the same scale share an axis; only that of `y` may begin elsewhere than at zero.
    pub(super) scale: &'static str,
    /// As many as there are times; none where nothing is known.
    pub(super) values: Vec<Option<Thousandths>>,
}

/// A chart over time.
#[derive(Clone, Debug)]
pub(super) struct Chart {
    /// The word for time.
    pub(super) time: &'static str,
    /// Seconds since 1970 on the clock that is shown.
    pub(super) times: Vec<u64>,
    pub(super) series: Vec<Series>,
}

impl Chart {
    /// The chart as an answer.
    pub(super) fn show(&self) -> Response {
        #[derive(Serialize)]
        #[serde(untagged)]
        enum Column<'a> {
            Times(&'a [u64]),
            Values(&'a [Option<Thousandths>]),
        }
        let all = |of: fn(&Series) -> &'static str| self.series.iter().map(of).collect::<Vec<_>>();
        let values = self.series.iter().map(|it| Column::Values(&it.values));
        let columns: Vec<_> = [Column::Times(&self.times)].into_iter().chain(values).collect();
        Json(serde_json::json!({
            "time": self.time,
            "labels": all(|it| it.label),
            "units": all(|it| it.unit),
            "colours": all(|it| it.colour),
            "styles": all(|it| it.style),
            "scales": all(|it| it.scale),
            "columns": columns,
        }))
        .into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousandths_are_decimals_with_their_sign() {
        let text = |it| serde_json::to_string(&Thousandths(it)).unwrap();
        assert_eq!(
            (text(-5), text(52_340), text(0)),
            ("-0.005".into(), "52.340".into(), "0.000".into())
        );
    }
}
