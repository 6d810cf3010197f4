//! `boltgrid replay` on a book that two members agreed on, and on what is not that book any more.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use boltgrid::config::{Config, RawConfig};
use boltgrid::grid::Grid;
use boltgrid::keys;
use boltgrid::store::{BookRecord, ClearingRecord, Store};
use boltgrid_market::clear;
use boltgrid_protocol::agreement::{Book, BookCertificate, BookEntry, Stage, Vote};
use boltgrid_protocol::envelope::Verified;
use boltgrid_protocol::id::ClearingDigest;
use boltgrid_protocol::order::{Order, Side, Source, Step};
use boltgrid_protocol::roster::Roster;
use boltgrid_protocol::signing::Keypair;
use boltgrid_protocol::units::{Energy, Interval, Price};

fn boltgrid(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_boltgrid"))
        .args(arguments)
        .current_dir(folder)
        .env_remove("BOLTGRID_CONFIG")
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn ok(folder: &Path, arguments: &[&str]) {
    let (code, out, err) = boltgrid(folder, arguments);
    assert_eq!(code, 0, "{out}{err}");
}

/// A grid of two members, and an interval in which both are.
struct Village {
    folder: tempfile::TempDir,
    config: Config,
    grid: Grid,
    keys: [Keypair; 2],
    interval: Interval,
}

impl Village {
    fn found() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        ok(at, &["charter", "new"]);
        let keys = ["buyer", "seller"].map(|name| {
            ok(at, &["init", "--dir", name, "--charter", "charter.toml"]);
            let (request, enrolment) = (format!("{name}.request"), format!("{name}.enrolment"));
            let rating = ["--import-w", "9000", "--export-w", "9000", "--founding"];
            let who = ["enrol", "request", "--dir", name, "--connection-point", name];
            ok(at, &[&who[..], &rating, &["-o", &request]].concat());
            ok(at, &["enrol", "sign", &request, "-o", &format!("buyer/enrolments/{enrolment}")]);
            keys::read(&at.join(name).join("participant.key")).unwrap()
        });
        let config = Config::load(&at.join("buyer/config.toml"), RawConfig::default()).unwrap();
        let grid = Grid::load(&config.grid).unwrap();
        let interval = grid.charter.interval.interval_at(boltgrid::clock::now());
        Self { config, grid, keys, interval, folder }
    }

    fn roster(&self) -> Arc<Roster> {
        self.grid.rosters.clone().at(self.interval)
    }

    fn order(&self, key: &Keypair, side: Side, limit: i64) -> Verified<Order> {
        let step = Step {
            side,
            source: Source::Load,
            energy_mwh: Energy::from_milliwatt_hours(250_000),
            limit_msat_per_kwh: Price::from_msat_per_kwh(limit),
        };
        let order = Order { steps: vec![step], ..Order::default() };
        let author = (&key.participant_id(), key);
        Verified::sign(&order, self.interval, author, (&self.grid.charter, &self.roster())).unwrap()
    }

    /// A book that both certify: one buys up to 200 sat/kWh, the other sells from 100.
    fn book(&self) -> BookRecord {
        let roster = self.roster();
        let mut orders = [
            self.order(&self.keys[0], Side::Buy, 200_000),
            self.order(&self.keys[1], Side::Sell, 100_000),
        ];
        orders.sort_by_key(Verified::author);
        let entry =
            |order: &Verified<Order>| BookEntry { author: order.author(), order: order.hash() };
        let book = Book { entries: orders.iter().map(entry).collect() };
        let vote = Vote {
            view: 0,
            stage: Stage::Precommit,
            book: Some(book.hash(&roster, self.interval)),
        };
        let mut votes = self.keys.each_ref().map(|key| {
            let author = (&key.participant_id(), key);
            Verified::sign(&vote, self.interval, author, (&self.grid.charter, &roster)).unwrap()
        });
        votes.sort_by_key(Verified::author);
        let precommits = votes.iter().map(|vote| vote.bytes().to_vec()).collect();
        let certificate = BookCertificate { interval: self.interval, view: 0, book, precommits };
        BookRecord {
            certificate: certificate.to_bytes().into(),
            orders: orders.iter().map(|order| Arc::clone(order.bytes())).collect(),
        }
    }

    fn clearing(&self, book: &BookRecord) -> ClearingRecord {
        let certificate = BookCertificate::from_bytes(&book.certificate).unwrap();
        let replayed =
            clear::replay(&self.grid.charter, &self.roster(), &certificate, &book.orders).unwrap();
        ClearingRecord {
            view: 0,
            decide_ms: 2_000,
            book: replayed.book,
            clearing: replayed.clearing.digest(),
            price_msat_per_kwh: replayed.clearing.price_msat_per_kwh,
            volume_mwh: replayed.clearing.volume_mwh,
            orders: 2,
            trades: 1,
        }
    }

    fn replay(
        &self,
        book: &BookRecord,
        clearing: &ClearingRecord,
        json: bool,
    ) -> (i32, String, String) {
        let store = Store::open(&self.config.data_dir).unwrap();
        store.archive().put_book(self.interval, book).unwrap();
        store.archive().put_clearing(self.interval, clearing).unwrap();
        drop(store);
        let interval = self.interval.to_string();
        let mut arguments = vec!["replay", &interval, "--config", "buyer/config.toml"];
        arguments.extend(json.then_some("--json"));
        boltgrid(self.folder.path(), &arguments)
    }
}

#[test]
fn a_stored_book_clears_again_to_the_same_price_and_trade() {
    let village = Village::found();
    let book = village.book();
    let (code, out, err) = village.replay(&book, &village.clearing(&book), false);
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("150 sat/kWh") && out.contains("250 Wh"), "{out}");
    let [buyer, seller] = village.keys.each_ref().map(|key| key.participant_id());
    assert!(out.contains(&format!("{} to {}: 250 Wh", seller.short(), buyer.short())), "{out}");

    let (_, out, _) = village.replay(&book, &village.clearing(&book), true);
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(json["price_msat_per_kwh"], "150000");
    assert_eq!(json["trades"][0]["seller"], seller.to_string());
}

#[test]
fn another_digest_or_a_changed_book_is_told_and_fails() {
    let village = Village::found();
    let book = village.book();
    let clearing = village.clearing(&book);
    let check = |book: &BookRecord, clearing: &ClearingRecord, expected: &str| {
        let (code, out, err) = village.replay(book, clearing, false);
        assert_eq!(code, 1, "{out}");
        assert!(err.contains(expected), "{err}");
    };
    let other = ClearingRecord { clearing: ClearingDigest::from_bytes([7; 32]), ..clearing };
    check(&book, &other, "the clearing differs");

    let mut forged = book.clone();
    let mut order = forged.orders[0].to_vec();
    *order.last_mut().unwrap() ^= 1;
    forged.orders[0] = order.into();
    check(&forged, &clearing, "signature does not verify");

    let forged = BookRecord { certificate: Arc::from(*b"noise"), orders: book.orders.clone() };
    check(&forged, &clearing, "does not hold");

    let swapped = village.order(&village.keys[0], Side::Buy, 199_999);
    let place = swapped.author().as_usize();
    let mut forged = book.clone();
    forged.orders[place] = Arc::clone(swapped.bytes());
    check(&forged, &clearing, "is missing");
}

#[test]
fn an_interval_without_a_book_is_told_apart() {
    let village = Village::found();
    let book = village.book();
    village.replay(&book, &village.clearing(&book), false);
    let config = PathBuf::from("buyer/config.toml");
    let arguments = ["replay", "7", "--config", config.to_str().unwrap()];
    let (code, _, err) = boltgrid(village.folder.path(), &arguments);
    assert_eq!(code, 1);
    assert!(err.contains("no book is stored for interval 7"), "{err}");
}
