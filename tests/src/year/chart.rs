//! The outcome as a picture: what each policy had earned by each day, as SVG.

use std::fmt::Write as _;

use super::summary::named;
use super::{DAY_INTERVALS, Outcome, Policy, Run};

/// Size of the picture and of the plot in it.
const WIDTH: i128 = 960;
const HEIGHT: i128 = 480;
const LEFT: i128 = 90;
const TOP: i128 = 40;
const PLOT_WIDTH: i128 = 640;
const PLOT_HEIGHT: i128 = 400;
/// One colour a policy that can be told apart in print and by the colour-blind (Okabe and Ito 2008).
const COLOURS: [&str; 8] =
    ["#0072B2", "#000000", "#999999", "#D55E00", "#009E73", "#E69F00", "#CC79A7", "#56B4E9"];

/// A policy and what it had earned by the end of each day, in msat.
struct Line {
    policy: Policy,
    points: Vec<i128>,
}

/// What all sites together had earned by each day. Policies that lose more than the best earns leave
/// the picture at its lower edge.
#[must_use]
pub fn chart(outcome: &Outcome) -> String {
    let lines: Vec<Line> = outcome.together().iter().map(line).collect();
    let points = |line: &Line| line.points.iter().copied().max().unwrap_or(0);
    let most = lines.iter().map(points).max().unwrap_or(0).max(1);
    let scale = Scale { most, least: -most / 2, days: outcome.months.len() / DAY_INTERVALS };
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"{LEFT}\" y=\"24\" font-size=\"16\">Profit of all machines since the first day, sat</text>\n"
    );
    for part in [-2, 0, 1, 2, 3, 4] {
        let msat = most * part / 4;
        let y = scale.y(msat);
        _ = writeln!(
            svg,
            "<path d=\"M{LEFT} {y}h{PLOT_WIDTH}\" stroke=\"#ddd\"/>\
             <text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>",
            LEFT - 8,
            y + 4,
            msat.div_euclid(1000),
        );
    }
    for ((line, colour), row) in lines.iter().zip(COLOURS).zip(0..) {
        let points = line
            .points
            .iter()
            .enumerate()
            .map(|(day, msat)| format!("{},{}", scale.x(day), scale.y(*msat)));
        let points = points.collect::<Vec<_>>().join(" ");
        let y = TOP + 14 + row * 22;
        let x = LEFT + PLOT_WIDTH + 16;
        _ = writeln!(
            svg,
            "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" points=\"{points}\"/>\n\
             <path d=\"M{x} {}h18\" stroke=\"{colour}\" stroke-width=\"3\"/>\
             <text x=\"{}\" y=\"{y}\">{}</text>",
            y - 4,
            x + 24,
            named(line.policy),
        );
    }
    svg.push_str("</svg>\n");
    svg
}

struct Scale {
    most: i128,
    least: i128,
    days: usize,
}

impl Scale {
    fn x(&self, day: usize) -> i128 {
        let days = i128::try_from(self.days.saturating_sub(1).max(1)).unwrap_or(1);
        LEFT + i128::try_from(day).unwrap_or(0) * PLOT_WIDTH / days
    }

    fn y(&self, msat: i128) -> i128 {
        let height = (self.most - msat.max(self.least)) * PLOT_HEIGHT;
        TOP + height / (self.most - self.least).max(1)
    }
}

fn line(run: &Run) -> Line {
    let mut sum = 0;
    let points = run.profits.chunks(DAY_INTERVALS).map(|day| {
        sum += day.iter().sum::<i128>();
        sum.div_euclid(1_000_000)
    });
    Line { policy: run.policy, points: points.collect() }
}
