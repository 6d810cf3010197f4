//! Every text of the dashboard, in each language that it speaks, side by side.
//!
//! `{x}`-like gaps are filled by [`fill`]. Not for: numbers and their units ([`super::format`]), or what
//! devices and the operating system say, which is English everywhere.

/// A language of the dashboard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Language {
    English,
    German,
}

impl Language {
    pub(super) const ALL: [Self; 2] = [Self::English, Self::German];

    /// Its code (BCP 47).
    pub(super) const fn code(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::German => "de",
        }
    }

    pub(super) fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.code() == code)
    }

    pub(super) const fn words(self) -> &'static Words {
        match self {
            Self::English => &ENGLISH,
            Self::German => &GERMAN,
        }
    }
}

/// Fills the gaps of a text: each name in braces by its value.
pub(super) fn fill(text: &str, gaps: &[(&str, &str)]) -> String {
    let mut filled = text.to_owned();
    for (name, value) in gaps {
        filled = filled.replace(&format!("{{{name}}}"), value);
    }
    filled
}

macro_rules! words {
    ($($name:ident: $english:literal, $german:literal;)*) => {
        /// All texts of one language.
        #[derive(Debug)]
        pub(super) struct Words {
            $(pub(super) $name: &'static str,)*
        }
        static ENGLISH: Words = Words { $($name: $english,)* };
        static GERMAN: Words = Words { $($name: $german,)* };
        #[cfg(test)]
        const ALL: &[(&str, &str, &str)] = &[$((stringify!($name), $english, $german),)*];
    };
}
pub(super) use words;

words! {
    // The frame.
    now: "Now", "Jetzt";
    market: "Market", "Markt";
    money: "Money", "Geld";
    miners: "Miners", "Miner";
    meters: "Meters", "Zähler";
    grid: "Grid", "Netz";
    settings: "Settings", "Einstellungen";
    pages: "Pages", "Seiten";
    skip: "Skip to content", "Zum Inhalt";
    theme: "Switch between light and dark", "Zwischen Hell und Dunkel wechseln";
    other_language: "Deutsch", "English";
    sign_out: "Sign out", "Abmelden";
    only_looks: "Signed in to look only", "Nur zum Ansehen angemeldet";
    offline: "No connection to the node. What you see is old; trying again.",
        "Keine Verbindung zum Knoten. Die Anzeige ist alt; neuer Versuch läuft.";
    help: "What is this?", "Was ist das?";
    fiat_rate: "{currency} by the owner's own rate, {rate} a bitcoin", "{currency} nach dem eigenen Kurs des Eigentümers, {rate} je Bitcoin";
    not_allowed: "This sign-in may only look. Sign in with a token that may do more.",
        "Diese Anmeldung darf nur ansehen. Mit einem Token anmelden, das mehr darf.";
    unreadable: "The node's archive cannot be read; its log says why.",
        "Das Archiv des Knotens ist nicht lesbar; im Protokoll steht, warum.";

    // Signing in.
    sign_in: "Sign in", "Anmelden";
    sign_in_lead: "This is the dashboard of a Boltgrid node. Show a token to look at it.",
        "Dies ist die Übersicht eines Boltgrid-Knotens. Mit einem Token anmelden.";
    token: "Token", "Token";
    sign_in_how: "On the node's machine, this makes one:",
        "Auf dem Rechner des Knotens wird so eines erzeugt:";
    sign_in_roles: "With --role trade it may also change limits, with --role admin everything. A tablet on the wall needs only read.",
        "Mit --role trade darf es auch Grenzen ändern, mit --role admin alles. Ein Tablet an der Wand braucht nur read.";
    sign_in_wrong: "This token is not known here, was revoked, or has expired.",
        "Dieses Token ist hier nicht bekannt, wurde widerrufen oder ist abgelaufen.";
    sign_in_foreign: "This form was not sent from this page. Reload and try again.",
        "Dieses Formular kam nicht von dieser Seite. Neu laden und noch einmal versuchen.";

    // Now.
    sun: "Sun", "Sonne";
    house: "House", "Haus";
    battery: "Battery", "Batterie";
    generator: "Generator", "Generator";
    neighbours: "Neighbours", "Nachbarn";
    supplier: "Supplier", "Versorger";
    picture: "Where power comes from and goes to now", "Woher der Strom jetzt kommt und wohin er geht";
    price_now: "Price now", "Preis jetzt";
    no_price: "no trade", "kein Handel";
    beside_tariff: "The supplier takes {retail} and gives {feed_in}.",
        "Der Versorger verlangt {retail} und zahlt {feed_in}.";
    today: "Today", "Heute";
    bought: "bought", "gekauft";
    sold: "sold", "verkauft";
    earned: "earned", "verdient";
    spent: "spent", "ausgegeben";
    saved: "better than the tariff", "besser als der Tarif";
    today_help: "What was settled with neighbours since midnight. The last figure is how much less it cost, or more it brought, than the supplier's tariff.",
        "Was seit Mitternacht mit Nachbarn abgerechnet wurde. Die letzte Zahl sagt, wie viel weniger es kostete oder mehr es brachte als der Tarif des Versorgers.";
    next_order: "Next order", "Nächster Auftrag";
    no_order_yet: "The order for the next interval is not out yet. It follows from what the meter shows, a moment before the gate closes.",
        "Der Auftrag für das nächste Intervall ist noch nicht erteilt. Er folgt aus dem, was der Zähler zeigt, kurz bevor das Tor schließt.";
    order_help: "What this site would buy and sell in the next interval, and at which prices. The node never buys dearer or sells cheaper than this.",
        "Was dieser Standort im nächsten Intervall kaufen und verkaufen würde, und zu welchen Preisen. Teurer kauft und billiger verkauft der Knoten nie.";
    buy: "Buy", "Kaufen";
    sell: "Sell", "Verkaufen";
    at_most: "at {price} at most", "für höchstens {price}";
    at_least: "at {price} at least", "für mindestens {price}";
    why_buy_load: "the house needs it, and dearer than this the supplier is cheaper",
        "das Haus braucht es, und teurer wäre der Versorger billiger";
    why_buy_battery: "the battery has room, and later it is worth more",
        "die Batterie hat Platz, und später ist es mehr wert";
    why_buy_miner: "up to here mining pays", "bis hierher lohnt das Schürfen";
    why_sell_pv: "the sun gives more than is needed here", "die Sonne gibt mehr, als hier gebraucht wird";
    why_sell_battery: "the battery can spare it at this price", "die Batterie kann es zu diesem Preis entbehren";
    why_sell_generator: "the generator can give it at this price", "der Generator kann es zu diesem Preis liefern";
    why_other: "follows from the owner's limits", "folgt aus den Grenzen des Eigentümers";
    no_site: "No meter has been read yet.", "Noch wurde kein Zähler gelesen.";
    stored: "{percent} full", "{percent} voll";
    off: "off", "aus";

    // Market.
    curves: "Supply and demand", "Angebot und Nachfrage";
    curves_help: "Each step is what somebody would sell or buy at a price. Where the lines cross, everybody trades at one price. Your own steps are shaded.",
        "Jede Stufe ist, was jemand zu einem Preis verkaufen oder kaufen würde. Wo sich die Linien kreuzen, handeln alle zu einem Preis. Die eigenen Stufen sind hinterlegt.";
    supply: "supply", "Angebot";
    demand: "demand", "Nachfrage";
    clearing: "price", "Preis";
    earlier: "Earlier", "Früher";
    later: "Later", "Später";
    latest: "Latest", "Neuestes";
    interval: "Interval", "Intervall";
    no_book: "No auction was decided for this interval; the supplier delivered at the tariff.",
        "Für dieses Intervall wurde keine Auktion entschieden; der Versorger lieferte zum Tarif.";
    no_books: "No auction has been decided yet. Look again after the next interval.",
        "Noch wurde keine Auktion entschieden. Nach dem nächsten Intervall noch einmal ansehen.";
    volume: "traded", "gehandelt";
    orders: "orders", "Aufträge";
    trades: "trades", "Handel";
    own_volume: "yours", "davon Ihre";
    price_chart: "Price and volume", "Preis und Menge";
    span: "Over", "Über";
    one_day: "a day", "einen Tag";
    seven_days: "a week", "eine Woche";
    thirty_days: "a month", "einen Monat";
    partners: "Your trades with each partner", "Ihr Handel mit jedem Partner";
    partner: "Partner", "Partner";
    due: "due to you", "an Sie fällig";
    no_trades: "Nothing was delivered in this time.", "In dieser Zeit wurde nichts geliefert.";
    price: "Price", "Preis";
    time: "Time", "Zeit";

    // Money.
    result: "What it came to", "Was es ergab";
    result_help: "What was settled of the time that is chosen. Better than the tariff: how much less it cost, or more it brought, than with the supplier alone.",
        "Was in der gewählten Zeit abgerechnet wurde. Besser als der Tarif: wie viel weniger es kostete oder mehr es brachte als mit dem Versorger allein.";
    supplier_share: "with the supplier", "mit dem Versorger";
    wallet: "Wallet", "Geldbörse";
    in_channels: "in channels", "in Kanälen";
    on_chain: "on the chain", "auf der Kette";
    can_send: "can be sent", "kann gesendet werden";
    can_receive: "can be received", "kann empfangen werden";
    channels: "Payment channels", "Zahlungskanäle";
    channels_help: "Left is what you can pay, right what you can be paid through a channel.",
        "Links ist, was Sie durch einen Kanal zahlen können, rechts, was Sie empfangen können.";
    no_channels: "No channel is open yet. The node opens one by itself once trades make it worth it.",
        "Noch ist kein Kanal offen. Der Knoten öffnet selbst einen, sobald der Handel es lohnt.";
    open_channel: "Open a channel", "Einen Kanal öffnen";
    size_sat: "What goes into it, sat", "Was hineinkommt, sat";
    what_costs: "What does it cost?", "Was kostet das?";
    channel_size: "goes into it", "kommt hinein";
    open_fee: "the chain takes for opening, at {rate} sat/vB", "nimmt die Kette fürs Öffnen, bei {rate} sat/vB";
    close_fee: "and for closing it one day, at the same", "und einmal fürs Schließen, ebenso";
    free_before: "free on the chain now", "jetzt frei auf der Kette";
    free_after: "free on the chain then", "danach frei auf der Kette";
    not_enough: "not enough", "nicht genug";
    open_it: "Open it", "Öffnen";
    leave_it: "Leave it", "Lassen";
    channel_reserve_help: "Some of what is free stays on the chain for each channel, so that it can be closed alone at any fee. Your node opens channels by itself too, where trade makes them worth it.",
        "Ein Teil davon bleibt für jeden Kanal auf der Kette, damit er bei jeder Gebühr allein geschlossen werden kann. Ihr Knoten öffnet Kanäle auch selbst, wo der Handel es lohnt.";
    channel_begun: "The channel is being opened. It can be used once the chain has confirmed it.",
        "Der Kanal wird geöffnet. Er ist nutzbar, sobald die Kette ihn bestätigt hat.";
    not_a_size: "A size is a whole number of sat.", "Eine Größe ist eine ganze Zahl in sat.";
    not_a_partner: "This member's Lightning node is not known, or listens nowhere.",
        "Der Lightning-Knoten dieses Mitglieds ist nicht bekannt oder hört nirgends.";
    no_lightning: "This node runs without Lightning: it keeps accounts of trades and pays none of them.",
        "Dieser Knoten läuft ohne Lightning: Er führt Konten über den Handel und bezahlt nichts davon.";
    accounts: "Who owes whom", "Wer wem schuldet";
    owes_you: "owes you", "schuldet Ihnen";
    you_owe: "you owe", "Sie schulden";
    at_worst: "at worst", "schlimmstenfalls";
    may_owe: "may owe", "darf schulden";
    nobody_owes: "Nobody has traded with this node yet.", "Noch hat niemand mit diesem Knoten gehandelt.";
    payments: "Payments", "Zahlungen";
    no_payments: "Nothing was paid yet.", "Noch wurde nichts bezahlt.";
    amount: "Amount", "Betrag";
    state: "State", "Stand";
    received: "received", "empfangen";
    sent: "sent", "gesendet";
    stage_invoiced: "invoice is out", "Rechnung gestellt";
    stage_paying: "on its way", "unterwegs";
    stage_paid: "paid", "bezahlt";
    stage_failed: "failed, made anew", "gescheitert, neu gemacht";
    disputes: "Disputes", "Streitfälle";
    no_disputes: "None.", "Keine.";
    not_paid: "not paid", "nicht bezahlt";
    over: "over", "erledigt";
    usable: "usable", "nutzbar";
    not_usable: "not usable now", "gerade nicht nutzbar";

    // Miners.
    no_machines: "This node has no machines. They are named in the config: [[miner]].",
        "Dieser Knoten hat keine Maschinen. Sie stehen in der Konfiguration: [[miner]].";
    break_even: "break-even", "lohnt bis";
    to_draw: "is to draw", "soll ziehen";
    why: "Why", "Warum";
    hashprice: "Hashprice", "Hashpreis";
    spare_brings: "Spare power brings", "Überschuss bringt";
    decisions: "Decisions", "Entscheidungen";
    machine: "Machine", "Maschine";
    no_decisions: "Nothing was switched yet.", "Noch wurde nichts geschaltet.";
    miners_help: "A machine runs while a kilowatt-hour costs less than its break-even: what its hashes earn and its heat replaces, less pool fee and wear.",
        "Eine Maschine läuft, solange eine Kilowattstunde weniger kostet, als sie lohnt: was ihre Hashes verdienen und ihre Wärme ersetzt, weniger Poolgebühr und Verschleiß.";
    well: "Well and generator", "Gasquelle und Generator";
    to_give: "Is to give", "Soll liefern";
    gas_heat: "Gas gives", "Gas liefert";
    generator_wear: "Runs above", "Läuft ab";
    flare: "Flare", "Fackel";
    flare_burns: "burns", "brennt";
    flare_is_out: "is out", "ist aus";
    gas_used: "Gas made use of", "Genutztes Gas";
    generated: "Generated", "Erzeugt";
    well_help: "The generator burns gas that would be flared otherwise. It sells what others pay more for than its wear, and feeds machines with the rest.",
        "Der Generator verbrennt Gas, das sonst abgefackelt würde. Er verkauft, wofür andere mehr als seinen Verschleiß zahlen, und versorgt mit dem Rest Maschinen.";
    decide: "Decide yourself", "Selbst entscheiden";
    power_w: "Power in W, 0 for off", "Leistung in W, 0 für aus";
    for_minutes: "For minutes", "Für Minuten";
    do_it: "Apply", "Anwenden";
    give_back: "Back to the plan", "Zurück zum Plan";
    done_decided: "{machine} does as you say until the time is over.",
        "{machine} folgt Ihnen, bis die Zeit um ist.";
    done_given_back: "{machine} follows the plan again.", "{machine} folgt wieder dem Plan.";
    in_trouble: "trouble", "Störung";
    not_in_plan: "out of the plan", "nicht im Plan";
    told_nothing: "nothing", "nichts";

    // Settings.
    limits: "Limits", "Grenzen";
    limits_lead: "They count from the next order on, and go before the config file until they are taken back.",
        "Sie gelten ab dem nächsten Auftrag und gehen der Konfigurationsdatei vor, bis sie zurückgenommen werden.";
    trade: "Trade with neighbours", "Mit Nachbarn handeln";
    buy_at_most: "Buy at most at, sat/kWh", "Höchstens kaufen für, sat/kWh";
    sell_at_least: "Sell at least at, sat/kWh", "Mindestens verkaufen für, sat/kWh";
    reserve: "Keep in the battery, %", "In der Batterie behalten, %";
    empty_for_tariff: "Empty means: as in the config file, or else the supplier's tariff.", "Leer heißt: wie in der Konfigurationsdatei, sonst der Tarif des Versorgers.";
    try_out: "Try out", "Ausprobieren";
    would_order: "With these limits, the next order would be:", "Mit diesen Grenzen wäre der nächste Auftrag:";
    would_not_order: "With these limits, nothing would be ordered next.", "Mit diesen Grenzen würde als Nächstes nichts bestellt.";
    save: "Save", "Speichern";
    reset: "Back to the config file", "Zurück zur Konfigurationsdatei";
    saved_limits: "Saved. It counts from the next order on.", "Gespeichert. Gilt ab dem nächsten Auftrag.";
    not_a_price: "A price is a number of sat per kWh with at most three digits after the decimal sign.",
        "Ein Preis ist eine Zahl in sat je kWh mit höchstens drei Nachkommastellen.";
    not_a_percent: "0 to 100 per cent can be kept in the battery.", "0 bis 100 Prozent können in der Batterie bleiben.";
    changes: "What was changed", "Was geändert wurde";
    no_changes: "Nothing was changed here; the config file holds.", "Hier wurde nichts geändert; es gilt die Konfigurationsdatei.";
    by: "By", "Von";
    change: "Change", "Änderung";
    tariff_word: "tariff", "Tarif";
    yes: "yes", "ja";
    no: "no", "nein";

    // Meters.
    no_meters: "This site has no meters.", "Dieser Standort hat keine Zähler.";
    settles: "settled by this one", "nach diesem wird abgerechnet";
    made_of_others: "made of others", "aus anderen gebildet";
    taken: "taken in all", "insgesamt bezogen";
    given: "given in all", "insgesamt abgegeben";
    voltage: "voltage", "Spannung";
    frequency: "frequency", "Frequenz";
    phase: "Phase", "Phase";
    power: "Power", "Leistung";
    current: "Current", "Strom";
    quality: "Power quality, last week", "Netzqualität, letzte Woche";
    quality_good: "as EN 50160 asks", "wie EN 50160 verlangt";
    quality_bad: "not as EN 50160 asks", "nicht wie EN 50160 verlangt";
    quality_none: "Nothing to tell yet: the first ten minutes are not over.",
        "Noch nichts zu sagen: Die ersten zehn Minuten sind nicht um.";
    within_ten: "within ±10 %", "innerhalb ±10 %";
    lowest: "lowest", "niedrigste";
    highest: "highest", "höchste";
    events: "events", "Ereignisse";
    anomalies: "Anomalies", "Auffälligkeiten";
    no_anomalies: "None.", "Keine.";
    stands: "stands", "besteht";
    meter: "Meter", "Zähler";
    found: "Found", "Befund";

    // Grid.
    agreement: "Agreement", "Einigung";
    decided: "decided", "entschieden";
    fell_back: "at the tariff", "zum Tarif";
    decide_time: "last decided after", "zuletzt entschieden nach";
    heard: "members heard", "gehörte Mitglieder";
    connected: "peers connected", "verbundene Knoten";
    agreement_help: "Before each interval the voters agree on the set of orders. Where they cannot in time, the supplier delivers at the tariff.",
        "Vor jedem Intervall einigen sich die Stimmberechtigten auf die Aufträge. Gelingt das nicht rechtzeitig, liefert der Versorger zum Tarif.";
    clocks: "clock against peers", "Uhr gegenüber anderen";
    lines: "Lines and their load", "Leitungen und ihre Last";
    lines_help: "What flowed two intervals ago, positive where it was taken; sites against what they are rated for.",
        "Was vor zwei Intervallen floss, positiv wo bezogen wurde; Standorte gemessen an ihrer Anschlussleistung.";
    connection: "Grid connection", "Netzanschluss";
    at_capacity: "of {capacity}", "von {capacity}";
    not_known: "not known", "nicht bekannt";
    members: "Members", "Mitglieder";
    member: "Member", "Mitglied";
    votes: "votes", "stimmt ab";
    this_node: "this node", "dieser Knoten";
    rated: "rated in / out", "Bezug / Abgabe bis";
    role: "Part", "Rolle";
    a_feeder: "a line's meter", "Zähler einer Leitung";
    gap: "gap", "Lücke";

    // Why machines do what they do, meters say nothing, and dues are in dispute.
    r_all_gas: "it takes all the gas there is", "er nimmt alles Gas, das da ist";
    r_rated: "it gives all that it can", "er liefert, was er kann";
    r_no_demand: "nobody wants more at more than its wear", "niemand will mehr für mehr als seinen Verschleiß";
    r_below_least: "what is wanted, or the gas, is less than its least load", "was gewünscht ist oder das Gas ist weniger als seine Mindestlast";
    r_warms_up: "it warms up", "er läuft warm";
    r_generator_rests: "it was stopped a short while ago", "er wurde vor Kurzem angehalten";
    r_gas_unknown: "the gas meter says nothing", "der Gaszähler sagt nichts";
    r_silent: "it does not answer", "er antwortet nicht";
    r_generator_runs_on: "it was started a short while ago, so it runs on at its least load", "er wurde vor Kurzem gestartet und läuft mit Mindestlast weiter";
    r_pays: "it earns more than its power would bring or costs", "sie verdient mehr, als ihr Strom bringen würde oder kostet";
    r_heats: "its heat is wanted", "ihre Wärme wird gebraucht";
    r_too_dear: "its power is worth more elsewhere", "ihr Strom ist anderswo mehr wert";
    r_nothing_left: "there is not enough power left for it", "für sie ist nicht genug Leistung übrig";
    r_runs_on: "it was started a short while ago", "sie wurde gerade erst gestartet";
    r_rests: "it was stopped a short while ago", "sie wurde gerade erst angehalten";
    r_starts_used_up: "it was started as often within a day as its owner allows", "sie wurde an diesem Tag so oft gestartet, wie ihr Eigentümer erlaubt";
    r_waits: "not all are started at once", "nicht alle starten auf einmal";
    r_limit: "a fuse or a line would carry too much", "eine Sicherung oder Leitung trüge zu viel";
    r_emergency: "the grid is in an emergency", "das Netz ist in einer Notlage";
    r_grid_support: "the frequency or the voltage asks for it", "Frequenz oder Spannung verlangen es";
    r_too_hot: "what it warms is hot enough, or nobody says how warm it is", "was sie wärmt, ist warm genug, oder niemand sagt, wie warm es ist";
    r_rule: "a rule says so", "eine Regel sagt es";
    r_owner: "its owner said so", "ihr Eigentümer hat es gesagt";
    r_unresponsive: "it does not do as it is told", "sie folgt nicht";
    r_only_looked_at: "it can only be looked at", "sie lässt sich nur ansehen";
    r_no_power: "{device}: shows no power, which its readings need", "{device}: zeigt keine Leistung, die seine Ablesungen brauchen";
    r_part: "{device}: rests on {part}, which shows nothing", "{device}: beruht auf {part}, das nichts zeigt";
    r_late: "{device}: no answer within the time between two samples", "{device}: keine Antwort in der Zeit zwischen zwei Proben";
    r_panicked: "{device}: its driver failed and was started again", "{device}: sein Treiber ist gescheitert und wurde neu gestartet";
    r_implausible: "{device}: {finding}; nothing is ordered until it is plausible again", "{device}: {finding}; bis es wieder plausibel ist, wird nichts bestellt";
    r_not_paid: "not paid in time", "nicht rechtzeitig bezahlt";
    r_could_not_pay: "could not be paid in time", "konnte nicht rechtzeitig bezahlt werden";
    r_not_invoiced: "no invoice came in time", "es kam rechtzeitig keine Rechnung";
    r_refused: "the payer refuses: {why}", "der Zahler lehnt ab: {why}";
    r_wrong_invoice: "an invoice was refused: {why}", "eine Rechnung wurde abgelehnt: {why}";
    r_wrong_payment: "{msat} msat were paid instead of the amount asked for", "{msat} msat wurden gezahlt statt des verlangten Betrags";

    // What the node is doing, in one sentence.
    says_stale: "The meter cannot be relied on at the moment ({why}), so nothing is ordered.",
        "Auf den Zähler ist gerade kein Verlass ({why}), deshalb wird nichts bestellt.";
    says_abstains: "The node signs nothing new for now, since it does not trust what it sees; the supplier delivers at the tariff.",
        "Der Knoten unterschreibt vorerst nichts Neues, weil er dem, was er sieht, nicht traut; der Versorger liefert zum Tarif.";
    says_not_member: "This participant is not enrolled, so it trades nothing.",
        "Dieser Teilnehmer ist nicht eingetragen, deshalb handelt er nicht.";
    says_sells: "Selling {power} to neighbours at {price}", "Verkauft {power} an Nachbarn für {price}";
    says_buys: "Buying {power} from neighbours at {price}", "Kauft {power} von Nachbarn für {price}";
    says_gives: "Giving {power} to the supplier", "Gibt {power} an den Versorger";
    says_takes: "Taking {power} from the supplier", "Nimmt {power} vom Versorger";
    says_and_gives: "and giving {power} to the supplier", "und gibt {power} an den Versorger";
    says_and_takes: "and taking {power} from the supplier", "und nimmt {power} vom Versorger";
    says_even: "The site covers itself", "Der Standort versorgt sich selbst";
    says_charges: "the battery charges", "die Batterie lädt";
    says_discharges: "the battery helps out", "die Batterie hilft aus";
    says_mines: "miners use {power}", "Miner nutzen {power}";
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    fn gaps(text: &str) -> Vec<&str> {
        let mut gaps: Vec<&str> =
            text.split('{').skip(1).filter_map(|it| it.split('}').next()).collect();
        gaps.sort_unstable();
        gaps
    }

    /// Checks the texts of a table.
    pub(in crate::dashboard) fn are_whole(all: &[(&str, &str, &str)]) {
        for (name, english, german) in all {
            assert!(!english.is_empty() && !german.is_empty(), "{name}");
            assert_eq!(gaps(english), gaps(german), "{name}");
        }
    }

    #[test]
    fn both_languages_have_every_text_and_the_same_gaps() {
        are_whole(ALL);
    }

    #[test]
    fn gaps_are_filled_by_name() {
        assert_eq!(fill("{a} and {b}", &[("b", "2"), ("a", "1")]), "1 and 2");
    }
}
