//! What is right with the built-in scenario and what is said about wrong ones.

use std::fs;

use super::*;

const GRID: &str = "grid,slack_bus,transformer_va,nominal_v\nG,b0,1000,400\n";
const LINES: &str = "from,to,length_m,r_mohm,x_mohm,rated_a\nb2,b1,1,1,1,10\nb0,b1,1,2,1,20\n";
const DEVICES: &str = "bus,device,profile,rated_w,capacity_wh,efficiency\n\
                       b1,load,A,100,,\nb2,pv,B,200,,\nb2,battery,,50,100,0.95\n";
const PROFILES: &str = "time,A,B\n2016-01-01T00:00:00Z,0.5,0.25\n2016-01-01T00:15:00Z,1,0\n";

fn read(files: [&str; 4]) -> Result<Scenario, ScenarioError> {
    let [grid, lines, devices, profiles] = files.map(str::as_bytes);
    Scenario::read("test".to_owned(), Files { grid, lines, devices, profiles })
}

/// Replaces `old` by `new` in whichever file has it and compares what is said.
fn check(old: &str, new: &str, message: &str) {
    let files = [GRID, LINES, DEVICES, PROFILES];
    assert_eq!(files.iter().filter(|file| file.contains(old)).count(), 1, "`{old}` names a file");
    let files = files.map(|file| file.replacen(old, new, 1));
    let error = read(files.each_ref().map(String::as_str)).unwrap_err();
    assert_eq!(error.to_string(), message);
}

#[test]
fn the_built_in_scenario_is_what_its_licence_note_says() {
    let scenario = Scenario::open(RURAL1).unwrap();
    assert_eq!(scenario.grid.name, "LV1.101");
    assert_eq!(scenario.grid.buses.len(), 14);
    assert_eq!(scenario.grid.lines.len(), 13);
    assert_eq!(scenario.devices.len(), 26);
    assert_eq!(scenario.profiles.rows(), 35_136);
    for text in ["2016-05-25T06:00:00+01:00", "2016-12-31T23:45:00+01:00"] {
        let row = scenario.profiles.row_at(text).unwrap();
        assert_eq!(scenario.profiles.time_of_row(row).to_string(), text);
    }
    let pv8 = scenario.profiles.find("PV8").unwrap();
    let noon = scenario.profiles.row_at("2016-05-25T12:00:00+01:00").unwrap();
    assert_eq!(scenario.profiles.share_ppm(pv8, noon), 517_200);
}

#[test]
fn the_tree_grows_from_the_slack_bus_whatever_the_order_of_the_rows() {
    let grid = read([GRID, LINES, DEVICES, PROFILES]).unwrap().grid;
    assert_eq!(grid.buses, ["b0", "b1", "b2"]);
    assert_eq!((grid.lines[0].upstream, grid.lines[1].upstream), (0, 1));
    assert_eq!((grid.lines[0].rated_ma, grid.line_name(1)), (20_000, "b1-b2".to_owned()));
}

#[test]
fn a_wrong_field_is_named_with_file_line_column_and_what_would_be_right() {
    check(
        "b1,load",
        "b1,boiler",
        "devices.csv line 2, column `device`: found `boiler`, expected `load`, `pv` or `battery`",
    );
    check(
        "load,A",
        "load,C",
        "devices.csv line 2, column `profile`: found `C`, expected a column of profiles.csv: `A`, `B`",
    );
    check(
        "A,100",
        "A,-100",
        "devices.csv line 2, column `rated_w`: found `-100`, expected a rated power in W, from 0 to 1e7 and never negative",
    );
    check(
        "A,100",
        "A,NaN",
        "devices.csv line 2, column `rated_w`: found `NaN`, expected a rated power in W, from 0 to 1e7 and never negative",
    );
    check(
        "100,0.95",
        "100,1.5",
        "devices.csv line 4, column `efficiency`: found `1.5`, expected a one-way efficiency above 0.01 and at most 1",
    );
    check(
        "100,0.95",
        ",0.95",
        "devices.csv line 4, column `capacity_wh`: found ``, expected a battery capacity in Wh, from 1 to 1e8",
    );
    check(
        "2,battery,,50",
        "1,battery,,50,9,1\nb1,battery,,50",
        "devices.csv line 5, column `device`: found `battery`, expected at most one battery a bus; add this one to the row above",
    );
    check(
        "1000,400",
        "0,400",
        "grid.csv line 2, column `transformer_va`: found `0`, expected the transformer's rated apparent power in VA, from 1 to 1e9",
    );
    check(
        "2,1,20",
        "2,1,inf",
        "lines.csv line 3, column `rated_a`: found `inf`, expected a current in A, from 1 to 1e5",
    );
    check(
        "0.5,0.25",
        "0.5,1.5",
        "profiles.csv line 2, column `B`: found `1.5`, expected a share of rated power from 0 to 1.25",
    );
    check(
        "0.5,0.25",
        "nan,0.25",
        "profiles.csv line 2, column `A`: found `nan`, expected a share of rated power from 0 to 1.25",
    );
}

#[test]
fn times_that_repeat_or_leave_a_gap_are_refused() {
    let say = |found| {
        format!(
            "profiles.csv line 3, column `time`: found `{found}`, expected 2016-01-01T00:15:00+00:00, as the rows follow each other by 15 minutes without gap or repetition"
        )
    };
    for found in ["2016-01-01T00:00:00Z", "2016-01-01T00:30:00Z", "2016-01-01T00:15:01Z"] {
        check("2016-01-01T00:15:00Z", found, &say(found));
    }
    check(
        "2016-01-01T00:00:00Z",
        "2016-01-01T00:00:00",
        "profiles.csv line 2, column `time`: found `2016-01-01T00:00:00`, expected a time with zone such as 2016-01-01T00:00:00+01:00",
    );
    check(
        "2016-01-01T00:00:00Z",
        "2016-01-01T00:05:00Z",
        "profiles.csv line 2, column `time`: found `2016-01-01T00:05:00Z`, expected a time on the quarter of an hour",
    );
}

#[test]
fn a_grid_that_is_not_a_tree_is_refused() {
    check(
        "b2,b1,1",
        "b1,b1,1",
        "lines.csv line 2: `b1` and `b1` are joined already; remove the line, the grid must be a tree",
    );
    check(
        "10\n",
        "10\nb0,b2,1,1,1,1\n",
        "lines.csv line 4: `b0` and `b1` are joined already; remove the line, the grid must be a tree",
    );
    check(
        "b0,b1,1",
        "b0,b3,1",
        "lines.csv line 2: `b2` has no path to the slack bus `b0`; join it in lines.csv",
    );
    check(
        "b1,load",
        "b9,load",
        "devices.csv line 2: `b9` has no path to the slack bus `b0`; join it in lines.csv",
    );
}

#[test]
fn a_wrong_shape_is_refused() {
    check(
        "device,profile",
        "kind,profile",
        "devices.csv line 1: column `device` is missing; the columns must be `bus`, `device`, `profile`, `rated_w`, `capacity_wh`, `efficiency`",
    );
    check(
        "time,A,B",
        "time,A,A",
        "profiles.csv line 1, column `A`: found `A`, expected each profile once",
    );
    check("G,b0,1000,400\n", "", "grid.csv: found 0 rows, expected one");
    check(
        "load,A,100,,\n",
        "load,A,100\n",
        "devices.csv: not a table in UTF-8 with as many fields in each line as in the first",
    );
}

#[test]
fn missing_files_and_unknown_names_are_told_apart() {
    let unknown = Scenario::open("rural2").unwrap_err();
    assert!(unknown.to_string().starts_with("there is no scenario `rural2`: give `rural1` or a"));
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("grid.csv"), GRID).unwrap();
    let missing = Scenario::open(dir.path().to_str().unwrap()).unwrap_err();
    assert!(matches!(missing, ScenarioError::Read { path, .. } if path.ends_with("lines.csv")));
    for (file, text) in [("lines.csv", LINES), ("devices.csv", DEVICES), ("profiles.csv", PROFILES)]
    {
        fs::write(dir.path().join(file), text).unwrap();
    }
    assert_eq!(Scenario::load(dir.path()).unwrap().devices.len(), 3);
}
