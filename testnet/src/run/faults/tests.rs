//! What a faults file may say, and what is said about those that may not.

use super::*;

const NODES: usize = 13;
const INTERVAL_MS: u64 = 10_000;

fn loaded(text: &str) -> Result<Vec<Fault>, FaultsError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("faults.toml");
    fs::write(&path, text).unwrap();
    load(&path, NODES, INTERVAL_MS)
}

#[test]
fn faults_come_out_one_a_node_in_the_order_of_time() {
    let faults = loaded(
        "[[fault]]\nat_interval = 5\nkind = \"hostile\"\n\
         [[fault]]\nat_interval = 3\nat_ms = 2500\nkind = \"kill\"\nnodes = [4, 7]\n\
         [[fault]]\nat_interval = 3\nkind = \"restart\"\nnode = 2\nrestart_after_ms = 4000\n",
    );
    let fault = |at_interval, at_ms, kind| Fault { at_interval, at_ms, kind };
    let expected = [
        fault(3, 0, FaultKind::Restart { who: Who::Node(2), after_ms: 4000 }),
        fault(3, 2500, FaultKind::Kill { who: Who::Node(4) }),
        fault(3, 2500, FaultKind::Kill { who: Who::Node(7) }),
        fault(5, 0, FaultKind::Hostile),
    ];
    assert_eq!(faults.unwrap(), expected);
}

#[test]
fn an_empty_file_means_that_nothing_goes_wrong() {
    assert_eq!(loaded("").unwrap(), []);
}

/// Fails unless the error about a fault names the file and says what is `expected`.
fn check(lines: &str, expected: &[&str]) {
    let error = loaded(&format!("[[fault]]\n{lines}")).unwrap_err().to_string();
    for part in ["faults.toml"].iter().chain(expected) {
        assert!(error.contains(part), "{lines}: {error}");
    }
}

fn with(kind: &str, lines: &str) -> String {
    format!("at_interval = 1\nkind = \"{kind}\"\n{lines}")
}

#[test]
fn errors_say_which_fault_is_wrong_and_what_would_be_right() {
    check("at_interval = 1\nkind = \"freeze\"", &["unknown variant", "restart"]);
    check("at_interval = 1\nkind = \"kill\"\nnode = 1\nwho = 1", &["unknown field `who`"]);
    check("kind = \"kill\"\nnode = 1", &["at_interval"]);
    check("at_interval = 1\nkind = \"kill\"", &["fault 1", "name a node"]);
    check("at_interval = 1\nkind = \"kill\"\nnode = 13", &["no node 13", "0 to 12"]);
    check("at_interval = 1\nkind = \"kill\"\nnode = 1\nnodes = [2]", &["not both"]);
    check("at_interval = 1\nkind = \"kill\"\nnodes = [2, 2]", &["node 2 is named twice"]);
    check("at_interval = 1\nat_ms = 10000\nkind = \"kill\"\nnode = 1", &["below", "10000"]);
    check("at_interval = 1\nkind = \"restart\"\nnode = 1", &["restart_after_ms"]);
    check("at_interval = 1\nkind = \"hostile\"\nnode = 1", &["leave node and nodes out"]);
    check(&with("cloud", "for_ms = 1"), &["sun_percent"]);
    check(&with("cloud", "sun_percent = 100\nfor_ms = 1"), &["0 to 99", "100"]);
    check(&with("cloud", "sun_percent = 20"), &["for_ms"]);
    check(&with("cloud", "sun_percent = 20\nfor_ms = 1\nnode = 1"), &["over all sites"]);
    check(&with("machine", "node = 1"), &["node = 0", "machine = \"luxos\""]);
    check(&with("machine", "node = 1\nmachine = \"luxos\""), &["does says"]);
    check(&with("machine", "node = 1\nmachine = \"luxos\"\ndoes = \"nothing\""), &["no_effect"]);
    check(&with("kill", "node = 1\nmachine = \"luxos\""), &["machine goes with"]);
    check("at_interval = 1\nkind = \"flood\"\nfor_ms = 9", &["messages_per_s says"]);
    check("at_interval = 1\nkind = \"flood\"\nmessages_per_s = 9", &["for_ms says"]);
    check("at_interval = 1\nkind = \"flood\"\nmessages_per_s = 0\nfor_ms = 9", &["must be 1 to"]);
    check(
        "at_interval = 1\nkind = \"flood\"\nnodes = [1, 2]\nmessages_per_s = 9\nfor_ms = 9",
        &["the key of one node"],
    );
    check(
        "at_interval = 1\nkind = \"flood\"\nnode = 1\nmessages_per_s = 9\nfor_ms = 9\n\
         [[fault]]\nat_interval = 2\nkind = \"kill\"\nnode = 1",
        &["fault 2", "killed for good before"],
    );
}

#[test]
fn errors_say_which_key_goes_with_which_kind_and_in_what_range() {
    check(
        &with("kill", "node = 1\nfor_ms = 5"),
        &["for_ms goes with kind = \"pause\"", "\"kill\""],
    );
    check(&with("pause", "node = 1"), &["for_ms says"]);
    check(&with("pause", "node = 1\nfor_ms = 0"), &["for_ms must be 1 to", "is 0"]);
    check(&with("pause", "any = 14\nfor_ms = 5"), &["any must be 1 to 13", "is 14"]);
    check(&with("pause", "any = 1\nnode = 2\nfor_ms = 5"), &["only one of them"]);
    check(&with("skew", "node = 1"), &["by_ms says"]);
    check(&with("skew", "node = 1\nby_ms = 0"), &["by_ms", "must be 1 to", "is 0"]);
    check(&with("disk_full", "node = 1"), &["for_ms says"]);
    check(&with("cut", ""), &["groups = [[", "nodes = [3]"]);
    check(&with("cut", "groups = [[1]]"), &["at least two"]);
    check(&with("cut", "groups = [[1], []]"), &["each with a node"]);
    check(&with("cut", "groups = [[1, 2], [2]]"), &["node 2 is named twice"]);
    check(&with("cut", "groups = [[1], [13]]"), &["no node 13"]);
    check(&with("cut", "groups = [[1], [2], [3]]\none_way = true"), &["two groups"]);
    check(&with("cut", "node = 3\none_way = true"), &["two groups"]);
    check(&with("cut", "node = 3\ngroups = [[1], [2]]"), &["only one of them"]);
    check(&with("cut", "node = 3\nflap_ms = 5"), &["flap_ms must be 100 to", "is 5"]);
    check(&with("drop", ""), &["loss_percent says"]);
    check(&with("drop", "loss_percent = 101"), &["loss_percent must be 1 to 100", "is 101"]);
    check(&with("drop", "loss_percent = 5\nflap_ms = 500"), &["flap_ms goes with kind = \"cut\""]);
    check(&with("delay", "jitter_ms = 5"), &["delay_ms says"]);
    check(&with("delay", "delay_ms = 10001"), &["delay_ms must be 0 to 10000"]);
    check(&with("kill", "node = 1\nevery_intervals = 1"), &["needs until_interval"]);
    check(&with("kill", "node = 1\nuntil_interval = 9"), &["goes with every_intervals"]);
    check(&with("pause", "any = 1\nfor_ms = 5\nevery_intervals = 0"), &["at least 1"]);
    check(
        &with("pause", "any = 1\nfor_ms = 5\nevery_intervals = 1\nuntil_interval = 0"),
        &["not be before at_interval (1)", "is 0"],
    );
    check(
        &with("pause", "any = 1\nfor_ms = 5\nevery_intervals = 1\nuntil_interval = 90000"),
        &["90000 faults", "10000 more"],
    );
    check(
        &with("kill", "node = 1\nevery_intervals = 1\nuntil_interval = 2"),
        &["fault 1", "killed for good before"],
    );
    check(
        "at_interval = 1\nkind = \"kill\"\nnode = 1\n\
         [[fault]]\nat_interval = 2\nkind = \"kill\"\nnode = 1",
        &["fault 2", "killed for good before"],
    );
}

#[test]
fn a_reorganisation_says_how_many_blocks_and_no_nodes() {
    check(&with("reorg", ""), &["depth says"]);
    check(&with("reorg", "depth = 0"), &["depth must be 1 to 100"]);
    check(&with("reorg", "depth = 2\nnode = 1"), &["on one chain"]);
    check(&with("kill", "node = 1\ndepth = 2"), &["depth goes with kind = \"reorg\""]);
    let faults = loaded("[[fault]]\nat_interval = 1\nkind = \"reorg\"\ndepth = 2\n").unwrap();
    let kind = FaultKind::Reorg { depth: 2 };
    assert_eq!(faults, [Fault { at_interval: 1, at_ms: 0, kind }]);
}

#[test]
fn a_falsified_meter_says_whose_and_what_it_shows() {
    check(&with("falsify", "node = 1"), &["shown_percent says"]);
    check(&with("falsify", "node = 1\nshown_percent = 201"), &["must be 0 to 200"]);
    check(&with("falsify", "shown_percent = 60"), &["name the site"]);
    check(&with("kill", "node = 1\nshown_percent = 60"), &["goes with kind = \"falsify\""]);
    let text = "[[fault]]\nat_interval = 1\nkind = \"falsify\"\nnode = 3\nshown_percent = 60\n";
    let kind = |located_within_intervals| FaultKind::Falsify {
        node: 3,
        shown_percent: 60,
        located_within_intervals,
    };
    assert_eq!(loaded(text).unwrap(), [Fault { at_interval: 1, at_ms: 0, kind: kind(None) }]);
    let text = format!("{text}located_within_intervals = 3\n");
    assert_eq!(loaded(&text).unwrap(), [Fault { at_interval: 1, at_ms: 0, kind: kind(Some(3)) }]);
    let in_two = "node = 1\nshown_percent = 60\nlocated_within_intervals = 2";
    check(&with("falsify", in_two), &["located_within_intervals must be 3 to 12", "is 2"]);
}

#[test]
fn a_missing_file_is_named() {
    let error = load(Path::new("nowhere.toml"), NODES, INTERVAL_MS).unwrap_err().to_string();
    assert!(error.contains("nowhere.toml"), "{error}");
}

#[test]
fn an_entry_that_repeats_is_a_fault_each_time_and_node() {
    let faults = loaded(
        "[[fault]]\nat_interval = 1\nkind = \"restart\"\nany = 2\nrestart_after_ms = 3000\n\
         every_intervals = 2\nuntil_interval = 4\n",
    );
    let kind = FaultKind::Restart { who: Who::Drawn, after_ms: 3000 };
    let expected =
        [1, 1, 3, 3].map(|at_interval| Fault { at_interval, at_ms: 0, kind: kind.clone() });
    assert_eq!(faults.unwrap(), expected);
}

#[test]
fn faults_of_links_are_one_for_all_of_their_nodes() {
    let kind = |lines: &str| {
        let faults = loaded(&format!("[[fault]]\nat_interval = 1\n{lines}")).unwrap();
        assert_eq!(faults.len(), 1, "{lines}");
        faults.into_iter().next().unwrap().kind
    };
    let links = |choice, effect, for_ms| FaultKind::Links { choice, effect, for_ms };
    let groups = vec![vec![0, 1], vec![2]];
    assert_eq!(
        kind("kind = \"cut\"\ngroups = [[0, 1], [2]]\nfor_ms = 900\nflap_ms = 300"),
        links(
            LinkChoice::Between { groups: groups.clone(), one_way: false },
            LinkEffect::Cut { flap_ms: Some(300) },
            Some(900)
        )
    );
    assert_eq!(
        kind("kind = \"cut\"\ngroups = [[0, 1], [2]]\none_way = true"),
        links(
            LinkChoice::Between { groups, one_way: true },
            LinkEffect::Cut { flap_ms: None },
            None
        )
    );
    assert_eq!(
        kind("kind = \"drop\"\nloss_percent = 5"),
        links(LinkChoice::All, LinkEffect::Drop { loss_percent: 5 }, None)
    );
    assert_eq!(
        kind("kind = \"delay\"\nnodes = [3]\ndelay_ms = 80"),
        links(LinkChoice::Of(vec![3]), LinkEffect::Delay { delay_ms: 80, jitter_ms: 0 }, None)
    );
}

#[test]
fn rogues_are_there_from_the_beginning_and_their_roles_are_dealt_round() {
    let faults = loaded(
        "[[fault]]\nat_interval = 0\nkind = \"rogue\"\nnodes = [3, 7, 9]\n\
         roles = [\"double_voter\", \"lying_meter\"]\n",
    );
    let kinds: Vec<_> = faults.unwrap().into_iter().map(|fault| fault.kind).collect();
    let rogue = |node, role| FaultKind::Rogue { node, role };
    let expected =
        [rogue(3, Role::DoubleVoter), rogue(7, Role::LyingMeter), rogue(9, Role::DoubleVoter)];
    assert_eq!(kinds, expected);
}

#[test]
fn what_no_rogue_can_be_is_answered_with_what_one_can() {
    let check = |lines: &str, expected: &[&str]| {
        let text = format!("[[fault]]\nkind = \"rogue\"\n{lines}");
        let error = loaded(&text).unwrap_err().to_string();
        assert!(expected.iter().all(|part| error.contains(part)), "{lines}: {error}");
    };
    let at = |rest: &str| format!("at_interval = 0\n{rest}");
    check("at_interval = 1\nnode = 3\nrole = \"spammer\"", &["from the beginning"]);
    check(&at("role = \"spammer\""), &["nodes = [3, 7]"]);
    check(&at("node = 3"), &["double_voter", "roles"]);
    check(&at("node = 3\nrole = \"saint\""), &["no rogue `saint`", "never_confirms"]);
    check(&at("node = 3\nrole = \"spammer\"\nroles = [\"spammer\"]"), &["not both"]);
    check(&at("node = 0\nrole = \"spammer\""), &["node 0"]);
    check(
        &at("node = 3\nrole = \"spammer\"\n\
             [[fault]]\nat_interval = 2\nkind = \"kill\"\nnode = 3"),
        &["fault 2", "a rogue plays at node 3"],
    );
    check(
        &at("node = 3\nrole = \"spammer\"\n\
             [[fault]]\nat_interval = 0\nkind = \"rogue\"\nnode = 3\nrole = \"replayer\""),
        &["fault 2", "a rogue already"],
    );
}
