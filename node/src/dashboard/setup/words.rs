//! Every text of the set-up, in each language of the dashboard, side by side.
//!
//! Not for: the texts of pages of a node that runs ([`crate::dashboard::words`]).

use crate::dashboard::words::{Language, fill, words};

use super::said::{Problem, Step};

/// All texts of the set-up in a language.
pub(super) const fn of(language: Language) -> &'static Words {
    match language {
        Language::English => &ENGLISH,
        Language::German => &GERMAN,
    }
}

words! {
    set_up: "Set-up", "Einrichtung";
    progress: "step {number} of {count}", "Schritt {number} von {count}";
    steps: "Steps", "Schritte";
    go_on: "Continue", "Weiter";

    // The door.
    welcome: "Set up your node", "Ihren Knoten einrichten";
    door_lead: "Boltgrid was started on this machine without a configuration. Show the token that stands in its terminal.",
        "Boltgrid wurde auf diesem Rechner ohne Konfiguration gestartet. Bitte das Token aus dem Terminal eingeben.";
    door_once: "It opens the set-up once, in one browser. Stop and start boltgrid for another.",
        "Es öffnet die Einrichtung einmal, in einem Browser. Für ein neues boltgrid beenden und neu starten.";
    door_wrong: "This is not the token of this start, or it was used already.",
        "Das ist nicht das Token dieses Starts, oder es wurde schon benutzt.";
    begin: "Begin", "Beginnen";

    // Place.
    place: "Your place", "Ihr Ort";
    place_lead: "By this the other members know your site, and a registrar of the grid confirms it.",
        "Daran erkennen die anderen Mitglieder Ihren Standort; ein Registrar des Netzes bestätigt es.";
    name: "Name of the connection", "Name des Anschlusses";
    name_help: "The name that the members know, such as House 7.", "So, wie ihn die Mitglieder kennen, etwa Haus 7.";
    import_w: "Most power to take, W", "Höchster Bezug, W";
    export_w: "Most power to give, W", "Höchste Abgabe, W";
    try_it: "Only look around first?", "Erst einmal umsehen?";
    try_lead: "A testnet is a whole neighbourhood on this machine, with a sun, meters and payments of its own. Nothing of it is worth anything.",
        "Ein Testnetz ist eine ganze Nachbarschaft auf diesem Rechner, mit eigener Sonne, Zählern und Zahlungen. Nichts davon ist etwas wert.";
    try_start: "Start a testnet", "Testnetz starten";
    try_missing: "boltgrid-testnet is not installed here. From the source of Boltgrid, this starts it:",
        "boltgrid-testnet ist hier nicht installiert. Aus dem Quelltext von Boltgrid startet es so:";
    try_starting: "The testnet starts", "Das Testnetz startet";
    try_wait: "It takes a minute or two. This page goes there by itself as soon as it answers; Ctrl-C in the terminal ends it.",
        "Das dauert ein, zwei Minuten. Diese Seite geht von selbst dorthin, sobald es antwortet; Strg-C im Terminal beendet es.";

    // Charter.
    charter: "The grid's charter", "Die Satzung des Netzes";
    charter_lead: "The charter is the same file for every member: prices, times, and who admits members. Ask a member for it.",
        "Die Satzung ist für alle Mitglieder dieselbe Datei: Preise, Zeiten, und wer Mitglieder aufnimmt. Ein Mitglied hat sie.";
    charter_file: "From a file", "Aus einer Datei";
    charter_text: "Or paste it", "Oder einfügen";
    bootstrap: "Addresses of nodes of the grid, one a line", "Adressen von Knoten des Netzes, eine je Zeile";
    bootstrap_help: "Such as /ip4/192.0.2.7/tcp/9333. May be empty where the others are in the same local network.",
        "Etwa /ip4/192.0.2.7/tcp/9333. Darf leer sein, wenn die anderen im selben lokalen Netz sind.";
    looks_around: "Look for nodes in the local network", "Im lokalen Netz nach Knoten suchen";

    // Meter.
    meter: "The meter", "Der Zähler";
    meter_lead: "The meter where your site meets the grid. What it counts is what you pay and are paid for.",
        "Der Zähler dort, wo Ihr Standort ans Netz kommt. Nach ihm zahlen Sie und werden bezahlt.";
    look: "Look for meters", "Zähler suchen";
    look_at: "At these addresses", "Unter diesen Adressen";
    look_help: "A host, host:port, or a network such as 192.168.1.0/24. Nothing else is looked at.",
        "Ein Rechner, Rechner:Port oder ein Netz wie 192.168.1.0/24. Anderes wird nicht angesehen.";
    looking: "Looking; a network takes up to a minute …", "Suche läuft; ein Netz dauert bis zu einer Minute …";
    nothing_found: "Nothing was found there. A device may have another port or have its interface switched off; choose it by hand.",
        "Dort wurde nichts gefunden. Ein Gerät kann einen anderen Port haben oder seine Schnittstelle ausgeschaltet; bitte von Hand wählen.";
    shows_power: "shows {power}", "zeigt {power}";
    also_fits: "the same answers fit {maps}", "dieselben Antworten passen zu {maps}";
    not_a_meter: "goes into the config file later", "kommt später in die Konfigurationsdatei";
    take: "Take this", "Diesen nehmen";
    by_hand: "By hand", "Von Hand";
    driver: "It speaks", "Er spricht";
    address: "Address", "Adresse";
    unit: "Unit", "Einheit (Unit)";
    map: "Map", "Abbildung (Map)";
    inverted: "Mounted the wrong way round", "Verkehrt herum eingebaut";
    try_meter: "Try it", "Ausprobieren";
    live: "What it shows now", "Was er jetzt zeigt";
    live_lead: "Switch something on in the house: the power must rise. Positive is taken from the grid, negative given.",
        "Im Haus etwas einschalten: Die Leistung muss steigen. Positiv heißt bezogen, negativ abgegeben.";
    answered: "answered {answered} of {asked} times", "{answered} von {asked} Mal geantwortet";
    silent: "It does not answer: {why}", "Er antwortet nicht: {why}";
    no_hints: "Nothing looks wrong about its sign.", "An seinem Vorzeichen fällt nichts auf.";
    keep_meter: "It is right, continue", "Stimmt, weiter";
    skip_meter: "Without a meter for now", "Vorerst ohne Zähler";
    skip_help: "A node without a meter follows the grid and trades nothing.", "Ein Knoten ohne Zähler verfolgt das Netz und handelt nicht.";

    // Limits.
    limits: "Your limits", "Ihre Grenzen";
    limits_lead: "The node never orders beyond these. Leave prices empty for the supplier's tariff. All of it can be changed later.",
        "Darüber hinaus bestellt der Knoten nie. Leere Preise heißen: der Tarif des Versorgers. Alles lässt sich später ändern.";

    // Money.
    money: "Payments", "Zahlungen";
    money_lead: "Trades are paid over Lightning. Which bitcoin network that is, nobody chooses for you.",
        "Handel wird über Lightning bezahlt. Welches Bitcoin-Netz das ist, wählt niemand für Sie.";
    network: "Bitcoin network", "Bitcoin-Netz";
    choose: "Choose …", "Bitte wählen …";
    network_none: "none for now: keep accounts, pay nothing", "vorerst keines: nur Konten führen";
    network_regtest: "regtest: a chain of one's own", "regtest: eine eigene Kette";
    network_signet: "signet: the public test network", "signet: das öffentliche Testnetz";
    network_mainnet: "mainnet: real money", "mainnet: echtes Geld";
    accept_mainnet: "I mean real money, which a mistake or a fault of this program can lose for good",
        "Ich meine echtes Geld, das ein Fehler von mir oder diesem Programm endgültig kosten kann";
    source: "Where the chain is seen", "Wo die Kette zu sehen ist";
    bitcoind: "my own bitcoind", "mein eigener bitcoind";
    esplora: "an Esplora server", "ein Esplora-Server";
    electrum: "an Electrum server", "ein Electrum-Server";
    url: "Its address", "Seine Adresse";
    url_help: "http://127.0.0.1:8332, https://esplora.example/api or ssl://electrum.example:50002",
        "http://127.0.0.1:8332, https://esplora.example/api oder ssl://electrum.example:50002";
    cookie_file: "bitcoind's cookie file", "Cookie-Datei des bitcoind";
    or_user: "or user", "oder Benutzer";
    password: "and password", "und Passwort";
    listen: "Listen for Lightning nodes at", "Auf Lightning-Knoten hören unter";
    listen_help: "Empty means 0.0.0.0:9735.", "Leer heißt 0.0.0.0:9735.";
    test_money: "Test and continue", "Testen und weiter";
    chain_right: "The chain is there, and it is the right one.", "Die Kette ist da, und es ist die richtige.";
    chain_there: "The chain's server is there. Which network it is on is seen when the node starts.",
        "Der Server ist da. In welchem Netz er ist, zeigt sich beim Start des Knotens.";

    // Words.
    words: "The wallet's words", "Die Wörter der Geldbörse";
    words_lead: "Write these 24 words on paper, in order. They are shown this once. Whoever has them has the money, and without them it is gone with this machine.",
        "Diese 24 Wörter der Reihe nach auf Papier schreiben. Sie werden nur dieses eine Mal gezeigt. Wer sie hat, hat das Geld; ohne sie ist es mit diesem Rechner weg.";
    words_written: "They are on paper", "Sie stehen auf Papier";
    words_confirm: "To be sure, three of them from the paper:", "Zur Sicherheit drei davon vom Papier:";
    word_number: "Word {number}", "Wort {number}";
    words_check: "Check and continue", "Prüfen und weiter";
    words_again: "I have not written them: make new ones", "Nicht aufgeschrieben: neue machen";

    // Review.
    review: "Look it over", "Noch einmal ansehen";
    review_lead: "Nothing is written yet. This becomes {file}, with its keys beside it, readable by you only.",
        "Noch ist nichts geschrieben. Daraus wird {file}, mit den Schlüsseln daneben, lesbar nur für Sie.";
    write: "Write it and start the node", "Schreiben und Knoten starten";

    // Done.
    done: "Written", "Geschrieben";
    done_lead: "The node starts now, in the same terminal. From the next time on, boltgrid run starts it.",
        "Der Knoten startet jetzt, im selben Terminal. Von nun an startet ihn boltgrid run.";
    done_token: "Your token for the dashboard. Keep it; it is not shown again:",
        "Ihr Token für die Übersicht. Bitte aufheben, es wird nicht noch einmal gezeigt:";
    done_no_token: "No token could be made ({why}). Make one by: boltgrid token create owner --role admin",
        "Es konnte kein Token erzeugt werden ({why}). So geht es: boltgrid token create owner --role admin";
    open_dashboard: "Open the dashboard", "Übersicht öffnen";
    starting: "The node is starting …", "Der Knoten startet …";
    not_started: "It does not answer yet. Its terminal says what is wrong.",
        "Er antwortet noch nicht. In seinem Terminal steht, was fehlt.";
    to_do: "What is left to do", "Was noch zu tun ist";
    send_request: "Send this request for membership to a registrar of the grid, who answers with an enrolment:",
        "Diesen Aufnahmeantrag einem Registrar des Netzes schicken, der mit einer Eintragung antwortet:";
    no_request: "No request for membership could be made: {why}", "Es konnte kein Aufnahmeantrag erzeugt werden: {why}";
    put_enrolments: "Put it and those of all members into {folder} and start the node again. Until then it measures and trades nothing.",
        "Diese und die aller Mitglieder nach {folder} legen und den Knoten neu starten. Bis dahin misst er und handelt nicht.";
    backup: "Keep {folder} safe: its keys are your membership.", "{folder} gut aufheben: Die Schlüssel darin sind Ihre Mitgliedschaft.";

    // Problems.
    p_foreign: "This form was not sent from this page. Reload and try again.", "Dieses Formular kam nicht von dieser Seite. Neu laden und noch einmal versuchen.";
    p_name: "The connection needs a name of 1 to 64 bytes.", "Der Anschluss braucht einen Namen von 1 bis 64 Bytes.";
    p_watts: "Powers are whole watts, 0 to 10000000.", "Leistungen sind ganze Watt, 0 bis 10000000.";
    p_no_charter: "There is no charter yet: choose a file or paste one.", "Noch ist keine Satzung da: Datei wählen oder einfügen.";
    p_not_an_address: "{what} is no multiaddress; one looks like /ip4/192.0.2.7/tcp/9333.", "{what} ist keine Multiadresse; eine sieht aus wie /ip4/192.0.2.7/tcp/9333.";
    p_too_long: "That is longer than such a thing can be.", "Das ist länger, als so etwas sein kann.";
    p_not_tried: "Try the meter first, as it is now; it has to answer once.", "Den Zähler erst so ausprobieren, wie er jetzt dasteht; er muss einmal antworten.";
    p_price: "A price is a number of sat per kWh with at most three digits after the decimal sign.", "Ein Preis ist eine Zahl in sat je kWh mit höchstens drei Nachkommastellen.";
    p_percent: "0 to 100 per cent can be kept in the battery.", "0 bis 100 Prozent können in der Batterie bleiben.";
    p_no_network: "Choose a network; there is no default.", "Bitte ein Netz wählen; vorgegeben ist keines.";
    p_real_money: "mainnet is real money: tick the box if that is what you mean.", "mainnet ist echtes Geld: Wenn das gemeint ist, bitte ankreuzen.";
    p_password: "A user of bitcoind needs a password of at most 128 characters.", "Zu einem Benutzer des bitcoind gehört ein Passwort von höchstens 128 Zeichen.";
    p_wrong_words: "These are not the words that were shown.", "Das sind nicht die Wörter, die gezeigt wurden.";
}

impl Words {
    /// What a step is called.
    pub(super) const fn step(&self, step: Step) -> &'static str {
        match step {
            Step::Place => self.place,
            Step::Charter => self.charter,
            Step::Meter => self.meter,
            Step::Limits => self.limits,
            Step::Money => self.money,
            Step::Words => self.words,
            Step::Review => self.review,
        }
    }

    /// The label of a word that is asked for.
    pub(super) fn word(&self, number: usize) -> String {
        fill(self.word_number, &[("number", &number.to_string())])
    }

    /// What a problem is, and what to do about it.
    pub(super) fn problem(&self, problem: &Problem) -> String {
        let text = match problem {
            Problem::Foreign => self.p_foreign,
            Problem::Name => self.p_name,
            Problem::Watts => self.p_watts,
            Problem::NoCharter => self.p_no_charter,
            Problem::NotAnAddress(what) => return fill(self.p_not_an_address, &[("what", what)]),
            Problem::TooLong => self.p_too_long,
            Problem::NotTried => self.p_not_tried,
            Problem::Price => self.p_price,
            Problem::Percent => self.p_percent,
            Problem::NoNetwork => self.p_no_network,
            Problem::RealMoney => self.p_real_money,
            Problem::Password => self.p_password,
            Problem::WrongWords => self.p_wrong_words,
            Problem::NotATarget(why) | Problem::Other(why) => return why.clone(),
        };
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dashboard::words::tests::are_whole;

    #[test]
    fn the_set_up_has_every_text_in_both_languages() {
        are_whole(ALL);
        assert_ne!(of(Language::German).set_up, of(Language::English).set_up);
    }
}
