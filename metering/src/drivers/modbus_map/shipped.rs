//! The maps that come along, by name. Their texts cite where each register was found.
//! Not for: reading them (see [`super::ModbusMap`]).

/// A map that comes along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shipped {
    /// What configuration calls it.
    pub name: &'static str,
    /// The map, in TOML.
    pub text: &'static str,
}

macro_rules! shipped {
    ($($name:literal),* $(,)?) => {
        &[$(Shipped { name: $name, text: include_str!(concat!("../maps/", $name, ".toml")) }),*]
    };
}

/// All of them, by name.
#[must_use]
pub const fn shipped() -> &'static [Shipped] {
    shipped![
        "abb-b21",
        "abb-b23",
        "carlo-gavazzi-em111",
        "carlo-gavazzi-em24",
        "carlo-gavazzi-em340",
        "eastron-sdm120",
        "eastron-sdm230",
        "eastron-sdm630",
        "janitza-umg96",
        "pulse-counter-gas",
        "schneider-iem3155",
    ]
}
