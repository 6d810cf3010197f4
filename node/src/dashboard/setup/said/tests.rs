//! What is taken in the set-up and what is not, without any page.

use super::*;
use crate::config::render;

const CHARTER: &str = include_str!("../../../../../protocol/tests/charter.toml");

fn place(name: &str, import_w: &str) -> Result<Place, Problem> {
    let (name, import_w) = (name.to_owned(), import_w.to_owned());
    PlaceForm { name, import_w, export_w: "0".to_owned() }.read()
}

#[test]
fn a_place_has_a_name_and_watts() {
    let taken = place(" House 7 ", "17000").unwrap();
    assert_eq!((taken.name.as_str(), taken.import_w, taken.export_w), ("House 7", 17_000, 0));
    for name in ["", "  ", "a\nb", &"x".repeat(65)] {
        assert_eq!(place(name, "1"), Err(Problem::Name), "{name:?}");
    }
    for watts in ["", "-1", "1.5", "10000001", "many"] {
        assert_eq!(place("a", watts), Err(Problem::Watts), "{watts:?}");
    }
}

#[test]
fn a_charter_is_read_however_its_lines_end_and_refused_with_its_reason() {
    let form = |charter: &str, bootstrap: &str| CharterForm {
        charter: charter.to_owned(),
        bootstrap: bootstrap.to_owned(),
        looks_around: None,
    };
    let unix = form(CHARTER, "").read().unwrap();
    let sent = form(&CHARTER.replace('\n', "\r\n"), "/ip4/192.0.2.7/tcp/9333\n").read().unwrap();
    assert_eq!(unix.charter.grid_id(), sent.charter.grid_id());
    assert_eq!((sent.text.as_str(), sent.bootstrap.len()), (CHARTER, 1));
    assert_eq!(form(" \n", "").read().unwrap_err(), Problem::NoCharter);
    assert!(matches!(form("name = 3", "").read(), Err(Problem::Other(_))));
    let address = form(CHARTER, "192.0.2.7:9333").read().unwrap_err();
    assert_eq!(address, Problem::NotAnAddress("192.0.2.7:9333".to_owned()));
    assert_eq!(form(&"#".repeat(CHARTER_MAX + 1), "").read().unwrap_err(), Problem::TooLong);
}

#[test]
fn a_meter_is_what_the_config_file_would_take() {
    let form = |driver: &str, unit: &str| MeterForm {
        driver: driver.to_owned(),
        address: "192.0.2.8:502".to_owned(),
        unit: unit.to_owned(),
        modbus_map: "eastron-sdm630".to_owned(),
        inverted: Some("on".to_owned()),
        ..MeterForm::default()
    };
    let device = form("modbus-map", "3").read().unwrap();
    assert!(device.site.inverted);
    let table = Table::from(device);
    assert_eq!(table["unit"].as_integer(), Some(3));
    assert_eq!(table["map"].as_str(), Some("eastron-sdm630"));
    assert!(!Table::from(form("sunspec", "3").read().unwrap()).contains_key("map"));
    assert!(matches!(form("telepathy", "").read(), Err(Problem::Other(_))));
    assert!(matches!(form("sunspec", "300").read(), Err(Problem::Other(_))));
}

#[test]
fn what_was_found_fills_the_form_that_makes_the_same_again() {
    for settings in [
        "address = \"192.0.2.8:502\"\nunit = 126\n",
        "driver = \"modbus-map\"\naddress = \"a:502\"\nmap = \"abb-b23\"\n",
        "driver = \"http\"\naddress = \"a:80\"\nmap = \"shelly-em\"\n",
        "driver = \"p1\"\naddress = \"a:23\"\n",
    ] {
        let again = MeterForm::of(settings).unwrap().read().unwrap();
        assert_eq!(again, toml::from_str::<DeviceConfig>(settings).unwrap(), "{settings}");
    }
}

#[test]
fn there_is_no_default_network_and_real_money_is_said_twice() {
    let form = |network: &str| MoneyForm {
        network: network.to_owned(),
        source: "esplora".to_owned(),
        url: "https://esplora.example/api".to_owned(),
        ..MoneyForm::default()
    };
    assert_eq!(form("").read().unwrap_err(), Problem::NoNetwork);
    assert_eq!(form("mainnet").read().unwrap_err(), Problem::RealMoney);
    let accept_mainnet = Some("on".to_owned());
    let (money, config) = MoneyForm { accept_mainnet, ..form("mainnet") }.read().unwrap();
    assert_eq!(money.lightning.accept_mainnet, Some(true));
    assert!(config.is_some());
    let (money, config) = form("none").read().unwrap();
    assert!(config.is_none() && money.lightning == RawLightning::default());
    let odd = MoneyForm { url: "esplora.example".to_owned(), ..form("signet") };
    assert!(matches!(odd.read(), Err(Problem::Other(why)) if why.contains("esplora_url")));
}

#[test]
fn a_password_goes_into_a_file_of_its_own_and_never_into_the_config() {
    let form = MoneyForm {
        network: "regtest".to_owned(),
        source: "bitcoind".to_owned(),
        url: "http://127.0.0.1:18443".to_owned(),
        user: "me".to_owned(),
        password: "hunter2".to_owned(),
        ..MoneyForm::default()
    };
    let (money, _) = form.read().unwrap();
    assert_eq!(money.password.as_ref().map(|it| it.reveal()), Some("hunter2"));
    let none = MoneyForm { password: String::new(), ..form };
    assert_eq!(none.read().unwrap_err(), Problem::Password);
    let said = Said { money: Some(money), ..Said::default() };
    let file = render(&said.config());
    assert!(!file.contains("hunter2") && file.contains("bitcoind_password_file = \"bitcoind"));
}

#[test]
fn limits_are_typed_as_in_the_settings() {
    let form = |buy: &str, reserve: &str| LimitsForm {
        trade: None,
        buy_at_most: buy.to_owned(),
        sell_at_least: String::new(),
        reserve: reserve.to_owned(),
    };
    let taken = form("250,5", "20").read().unwrap();
    assert_eq!(taken.buy_at_most, Some(Price::from_msat_per_kwh(250_500)));
    assert!(!taken.trade && taken.sell_at_least.is_none());
    assert_eq!(form("dear", "20").read(), Err(Problem::Price));
    assert_eq!(form("", "101").read(), Err(Problem::Percent));
}

#[test]
fn steps_come_in_order_and_each_is_asked_until_it_is_said() {
    let mut said = Said::default();
    assert_eq!(said.next(), Step::Place);
    said.place = Some(place("a", "1").unwrap());
    said.money = Some(Money { lightning: RawLightning::default(), password: None });
    assert_eq!(said.next(), Step::Charter);
    let looks_around = Some("on".to_owned());
    let form = CharterForm { charter: CHARTER.to_owned(), bootstrap: String::new(), looks_around };
    said.grid = Some(form.read().unwrap());
    said.meter = Some(None);
    assert_eq!(said.next(), Step::Limits);
    let form = LimitsForm { reserve: "0".to_owned(), ..LimitsForm::default() };
    said.limits = Some(form.read().unwrap());
    assert_eq!(said.next(), Step::Words);
    said.has_words = true;
    assert_eq!(said.next(), Step::Review);
    // What follows is a config that a node takes.
    let config = Config::checked(said.config(), Path::new("config.toml")).unwrap();
    assert!(!config.owner.trade && config.network.mdns && config.lightning.is_none());
}

#[test]
fn three_words_of_different_thirds_show_that_all_were_written_down() {
    for chance in [[0; 3], [255; 3], [7, 8, 9]] {
        let asked = asked(chance);
        assert!(asked.windows(2).all(|it| it[0] < it[1]), "{asked:?}");
        assert!(asked.iter().all(|it| (1..=24).contains(it)), "{asked:?}");
    }
    let (seed, places) = (Seed::new().unwrap(), [2, 11, 24]);
    let words = seed.words();
    let word = |place: usize| words.split(' ').nth(place - 1).unwrap().to_uppercase();
    let form = WordsForm {
        word_1: word(2),
        word_2: format!(" {}", word(11)),
        word_3: word(24),
        what: String::new(),
    };
    form.check(&seed, places).unwrap();
    let wrong = WordsForm { word_3: "satoshi x".to_owned(), ..form };
    assert_eq!(wrong.check(&seed, places), Err(Problem::WrongWords));
}
