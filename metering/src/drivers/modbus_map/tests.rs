//! Maps against registers: what comes along is right by itself, and every kind of number is read.
//! Not for: the meters' real layouts, which stand in `tests/maps.rs`.

use super::*;

fn map(points: &str) -> ModbusMap {
    let head = "name = \"test\"\nmanufacturer = \"none\"\nmodels = [\"one\"]\n";
    ModbusMap::parse("test.toml", &[head, points].concat()).unwrap()
}

fn config(name: &str) -> ModbusMapConfig {
    let (address, map) = ("localhost".parse().unwrap(), name.to_owned());
    ModbusMapConfig { address, unit: None, map, scale: BTreeMap::new() }
}

#[test]
fn every_map_that_comes_along_is_right_and_has_its_name_and_sources() {
    for Shipped { name, .. } in shipped() {
        let map = config(name).load().unwrap();
        assert_eq!(map.name, *name);
        assert!(!map.sources.is_empty(), "{name}");
        assert!(map.requests().len() <= 7, "{name}: {:?}", map.requests());
    }
    assert!(shipped().is_sorted_by_key(|shipped| shipped.name));
}

#[test]
fn a_map_that_is_not_there_is_named_with_those_that_are() {
    let error = config("eastron").load().unwrap_err();
    assert!(error.to_string().contains("eastron-sdm630"), "{error}");
    let error = config("no/such/file.toml").load().unwrap_err();
    assert!(matches!(error, MapError::Unreadable { .. }), "{error}");
}

#[test]
fn configuration_survives_its_written_form() {
    let scale = BTreeMap::from([(Quantity::Gas, "12.5".parse().unwrap())]);
    let config = ModbusMapConfig { scale, unit: Some(7), ..config("pulse-counter-gas") };
    let text = toml::to_string(&config).unwrap();
    assert_eq!(toml::from_str::<ModbusMapConfig>(&text).unwrap(), config);
}

#[test]
fn the_page_about_modbus_shows_a_map_that_is_right_and_names_all_that_come_along() {
    let page = include_str!("../../../../docs/modbus.md");
    let (_, rest) = page.split_once("```toml\n").unwrap();
    let (text, _) = rest.split_once("```").unwrap();
    assert_eq!(ModbusMap::parse("docs/modbus.md", text).unwrap().requests().len(), 2);
    for Shipped { name, .. } in shipped() {
        assert!(page.contains(&format!("`{name}`")), "{name}");
    }
}

#[test]
fn a_meter_with_a_map_is_configured_beside_its_driver() {
    let text =
        "driver = \"modbus-map\"\naddress = \"rtu-tcp://a:1\"\nmap = \"pulse-counter-gas\"\n";
    for scale in ["scale = { gas = 10 }", "scale.gas = \"10\""] {
        let scale = format!("{text}{scale}\n");
        let config = toml::from_str::<crate::drivers::MeterConfig>(&scale).unwrap();
        let crate::drivers::MeterConfig::ModbusMap(config) = config else { panic!("{config:?}") };
        assert_eq!(config.scale[&Quantity::Gas], "10".parse().unwrap());
    }
    let inexact = format!("{text}scale = {{ gas = 0.1 }}\n");
    assert!(toml::from_str::<crate::drivers::MeterConfig>(&inexact).is_err());
}

#[test]
fn a_value_that_is_not_available_is_absent_and_not_zero() {
    let map = map("[[point]]\nquantity = \"power\"\nregister = 0\ntype = \"i16\"\nunit = \"W\"\n\
         not_available = [\"8000\"]\n\
         [[point]]\nquantity = \"voltage\"\nregister = 1\ntype = \"f32\"\nunit = \"V\"\n");
    let nan = f32::NAN.to_bits();
    let [n3, n2, n1, n0] = nan.to_be_bytes();
    let words = vec![0x8000, u16::from_be_bytes([n3, n2]), u16::from_be_bytes([n1, n0])];
    assert_eq!(map.shown(&[words], None), Ok(Shown::default()));
    let shown = map.shown(&[vec![5, 0, 0]], None).unwrap();
    assert_eq!((shown.power, shown.voltage_mv), (Some(Power::from_milliwatts(5_000)), Some(0)));
}

#[test]
fn parts_are_added_up_with_their_signs() {
    let part = |register: u16, extra: &str| {
        format!(
            "[[point]]\nquantity = \"power\"\nregister = {register}\ntype = \"u16\"\nunit = \"W\"\n\
             part = true\n{extra}"
        )
    };
    let map = map(&[part(0, ""), part(1, "negate = true\nnot_available = [\"FFFF\"]\n")].concat());
    let shown = map.shown(&[vec![100, 350]], None).unwrap();
    assert_eq!(shown.power, Some(Power::from_milliwatts(-250_000)));
    // A sum that lacks a part is none.
    assert_eq!(map.shown(&[vec![100, 0xFFFF]], None).unwrap().power, None);
}

#[test]
fn registers_keep_their_width() {
    let register = |kind: &str, extra: &str, words: Vec<u16>| {
        let map = map(&format!(
            "[[point]]\nquantity = \"import\"\nregister = 0\ntype = \"{kind}\"\nunit = \"kWh\"\n\
             {extra}"
        ));
        map.shown(&[words], None).map(|shown| shown.import.unwrap())
    };
    let counted = register("u32", "scale = \"0.01\"\n", vec![1, 0]).unwrap();
    assert_eq!((counted.count, counted.width), (65_536, Width::At(1 << 32)));
    assert_eq!(counted.scale, ScaleFactor::new(1).unwrap());
    let display = register("u32", "wraps_at = 1000000\nscale = \"1.25\"\n", vec![0, 4]).unwrap();
    assert_eq!((display.count, display.width), (500, Width::At(125_000_000)));
    assert_eq!(register("u64", "", vec![0, 0, 0, 9]).unwrap().width, Width::Float);
    let float = register("f32", "", vec![0x3FC0, 0]).unwrap();
    assert_eq!((float.count, float.width), (1_500_000, Width::Float));
    let backwards = register("i32", "", vec![0xFFFF, 0xFFFF]);
    assert!(matches!(backwards, Err((Quantity::Import, PointRejected::Impossible { .. }))));
    assert!(register("u64", "", vec![0xFFFF; 4]).is_err());
}

#[test]
fn an_answer_that_is_too_short_is_an_error() {
    let map = map("[[point]]\nquantity = \"power\"\nregister = 0\ntype = \"i32\"\nunit = \"W\"\n");
    let missing = Err((Quantity::Power, PointRejected::NotImplemented));
    assert_eq!(map.shown(&[vec![1]], None), missing);
    assert_eq!(map.shown(&[], None), missing);
}
