//! Measured profiles: for every quarter of an hour, how much of its rated power a device uses.
//!
//! Rows follow each other without gap. Their labels may be clock times with European summer time
//! though written with one offset all year, as in the built-in scenario: then they skip an hour in
//! March and repeat one in October. Times are told and looked up by label, for that is what the file shows.

use super::civil::CivilTime;
use super::error::{ScenarioError, TimeError};
use super::table::{Decimal, Row, Table};

/// The file.
const FILE: &str = "profiles.csv";
/// Length of a row.
pub const ROW_S: i64 = 900;

/// The most that a profile may ask for, in ppm of rated power.
/// A quarter above rated is more than any measured mean over 15 minutes should show.
pub const SHARE_MAX_PPM: u32 = 1_250_000;

/// A share of rated power, kept in parts per million; see [`SHARE_MAX_PPM`].
const SHARE: Decimal = Decimal {
    min: 0.0,
    max: 1.25,
    per_unit: 1e6,
    expected: "a share of rated power from 0 to 1.25",
};

/// Names one profile of [`Profiles`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProfileId(usize);

/// Rows whose labels follow each other by a quarter of an hour.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    from_row: usize,
    from_time: CivilTime,
}

impl Stretch {
    /// What the label of `row` would be if the clock were never changed.
    fn time_of_row(&self, row: usize) -> CivilTime {
        let rows = i64::try_from(row - self.from_row).expect("rows are counted in memory");
        self.from_time.plus_s(rows * ROW_S)
    }
}

/// All profiles over one stretch of time without gaps. Never empty.
#[derive(Clone, Debug)]
pub struct Profiles {
    names: Vec<String>,
    rows: usize,
    /// Split where the clock is changed; never empty.
    stretches: Vec<Stretch>,
    /// One column a profile, in ppm of rated power.
    shares_ppm: Vec<Vec<u32>>,
}

impl Profiles {
    /// Reads `profiles.csv`.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, ScenarioError> {
        let mut table = Table::open(FILE, bytes, &["time"])?;
        let columns = columns(&table)?;
        let mut shares_ppm: Vec<Vec<u32>> = vec![Vec::new(); columns.len()];
        let mut stretches: Vec<Stretch> = Vec::new();
        let mut rows = 0;
        let time_index =
            table.header().iter().position(|name| name == "time").expect("the column is required");
        while let Some(row) = table.next_row()? {
            let due = stretches.last().map(|stretch| stretch.time_of_row(rows));
            let time = time_of(row, time_index, due)?;
            if due.is_none_or(|due| due.unix_s() != time.unix_s()) {
                stretches.push(Stretch { from_row: rows, from_time: time });
            }
            rows += 1;
            for (shares, (index, _)) in shares_ppm.iter_mut().zip(&columns) {
                let share_ppm = row.number_at(*index, SHARE)?;
                shares.push(u32::try_from(share_ppm).expect("a share is at most 1 250 000 ppm"));
            }
        }
        if rows == 0 {
            let expected = "a row for every quarter of an hour";
            return Err(ScenarioError::Rows { file: FILE, rows, expected });
        }
        let names = columns.into_iter().map(|(_, name)| name).collect();
        Ok(Self { names, rows, stretches, shares_ppm })
    }

    /// The profile with this name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<ProfileId> {
        self.names.iter().position(|known| known == name).map(ProfileId)
    }

    /// The names of all profiles.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// How many quarters of an hour there are; at least one.
    #[must_use]
    pub const fn rows(&self) -> usize {
        self.rows
    }

    /// The share of rated power in ppm during `row`; after the last row the first one follows.
    #[must_use]
    pub fn share_ppm(&self, profile: ProfileId, row: usize) -> u32 {
        self.shares_ppm[profile.0][row % self.rows]
    }

    /// The label of `row`, when it begins; after the last row the first one follows.
    #[must_use]
    pub fn time_of_row(&self, row: usize) -> CivilTime {
        let row = row % self.rows;
        let after = self.stretches.partition_point(|stretch| stretch.from_row <= row);
        // The first stretch begins at row 0.
        self.stretches[after - 1].time_of_row(row)
    }

    /// The row during which `text` falls, such as `2016-05-25T06:00:00+01:00`, told by its label.
    /// A time without zone is in that of the labels. Of an hour that the labels repeat it is the
    /// first; an hour that they skip is taken for the moment of the skip.
    ///
    /// # Errors
    ///
    /// [`TimeError`] if it is not a time or not covered by the data.
    pub fn row_at(&self, text: &str) -> Result<usize, TimeError> {
        let first = self.time_of_row(0);
        let time = CivilTime::parse(text, Some(first.offset_s()))
            .ok_or_else(|| TimeError::NotATime { text: text.to_owned(), first })?;
        let end_rows = self.stretches.iter().skip(1).map(|next| next.from_row).chain([self.rows]);
        let mut from_s = first.unix_s();
        for (stretch, end_row) in self.stretches.iter().zip(end_rows) {
            let begin_s = stretch.from_time.unix_s();
            let end_s = stretch.time_of_row(end_row).unix_s();
            if (from_s.min(begin_s)..end_s).contains(&time.unix_s()) {
                let rows = (time.unix_s() - begin_s).div_euclid(ROW_S);
                return Ok(stretch.from_row + usize::try_from(rows).unwrap_or(0));
            }
            from_s = end_s;
        }
        Err(TimeError::OutsideData {
            text: text.to_owned(),
            first,
            end: self.time_of_row(self.rows - 1).plus_s(ROW_S),
        })
    }
}

/// Index and name of every profile column.
fn columns(table: &Table<'_>) -> Result<Vec<(usize, String)>, ScenarioError> {
    let named = table.header().iter().enumerate().filter(|(_, name)| *name != "time");
    let columns: Vec<_> = named.map(|(index, name)| (index, name.to_owned())).collect();
    let refuse = |name: &str, expected: &str| ScenarioError::Value {
        file: FILE,
        line: 1,
        column: name.to_owned(),
        value: name.to_owned(),
        expected: expected.to_owned(),
    };
    for (position, (_, name)) in columns.iter().enumerate() {
        if name.is_empty() {
            return Err(refuse(name, "the name of a profile"));
        }
        if columns.iter().take(position).any(|(_, earlier)| earlier == name) {
            return Err(refuse(name, "each profile once"));
        }
    }
    match columns.is_empty() {
        true => Err(refuse("time", "at least one column beside it, named like a profile")),
        false => Ok(columns),
    }
}

/// The label of a row, which must be `due` or `due` after a change of the clock.
fn time_of(row: Row<'_>, index: usize, due: Option<CivilTime>) -> Result<CivilTime, ScenarioError> {
    let time = CivilTime::parse(row.at(index), None)
        .ok_or_else(|| row.refuse(index, "a time with zone such as 2016-01-01T00:00:00+01:00"))?;
    match due {
        None if time.unix_s().rem_euclid(ROW_S) != 0 => {
            Err(row.refuse(index, "a time on the quarter of an hour"))
        }
        Some(due) if due.unix_s() != time.unix_s() && !due.is_changed_to(time) => Err(row.refuse(
            index,
            format!("{due}, as the rows follow each other by 15 minutes without gap or repetition"),
        )),
        None | Some(_) => Ok(time),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = "time,A,B\n2016-01-01T00:00:00+01:00,0,1\n\
                         2016-01-01T00:15:00+01:00,0.25,5e-05\n";

    #[test]
    fn shares_are_kept_in_parts_per_million_and_repeat() {
        let profiles = Profiles::read(SMALL.as_bytes()).unwrap();
        let (a, b) = (profiles.find("A").unwrap(), profiles.find("B").unwrap());
        let shares: Vec<_> =
            (0..3).map(|row| (profiles.share_ppm(a, row), profiles.share_ppm(b, row))).collect();
        assert_eq!(shares, [(0, 1_000_000), (250_000, 50), (0, 1_000_000)]);
        assert_eq!(profiles.find("C"), None);
    }

    #[test]
    fn a_time_is_found_in_its_row_and_the_covered_range_is_told() {
        let profiles = Profiles::read(SMALL.as_bytes()).unwrap();
        assert_eq!(profiles.row_at("2016-01-01T00:00:00+01:00"), Ok(0));
        assert_eq!(profiles.row_at("2016-01-01T00:29:59"), Ok(1));
        assert_eq!(profiles.row_at("2015-12-31T23:15:00Z"), Ok(1));
        let error = profiles.row_at("2016-01-01T00:30").unwrap_err();
        assert_eq!(
            error.to_string(),
            "`2016-01-01T00:30` is outside the data: the profiles cover \
             2016-01-01T00:00:00+01:00 to 2016-01-01T00:30:00+01:00"
        );
        assert!(matches!(profiles.row_at("noon"), Err(TimeError::NotATime { .. })));
    }
    #[test]
    fn labels_may_change_to_summer_time_and_back() {
        let check = |labels: [&str; 3], text, row| {
            let rows: String = labels.map(|label| format!("2016-{label}:00+01:00,0\n")).concat();
            let profiles = Profiles::read(format!("time,A\n{rows}").as_bytes()).unwrap();
            assert_eq!(profiles.row_at(text), Ok(row), "{text}");
            let last = profiles.time_of_row(2).to_string();
            assert_eq!(last, format!("2016-{}:00+01:00", labels[2]));
        };
        let spring = ["03-27T01:45", "03-27T03:00", "03-27T03:15"];
        check(spring, "2016-03-27T01:59", 0);
        check(spring, "2016-03-27T02:30", 1);
        check(spring, "2016-03-27T03:15", 2);
        let autumn = ["10-30T02:45", "10-30T02:00", "10-30T02:15"];
        check(autumn, "2016-10-30T02:45", 0);
        check(autumn, "2016-10-30T02:15", 2);
    }
}
