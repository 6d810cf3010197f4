//! One made-up grid with fixed keys, and a message of every kind in it.
//!
//! Shared by the unit tests, the tests beside this file, the benchmark and the fuzz targets, so that
//! all of them speak of the same grid.

use std::sync::Arc;

use boltgrid_protocol::agreement::{
    Ack, Book, BookCertificate, BookEntry, Proposal, Stage, Vote, merkle_root,
};
use boltgrid_protocol::bitmap::Bitmap;
use boltgrid_protocol::charter::Charter;
use boltgrid_protocol::confirm::{TradeConfirm, TradeTerms};
use boltgrid_protocol::enrolment::{CertifiedEnrolment, Enrolment};
use boltgrid_protocol::envelope::{MessageRejected, Payload, Verified};
use boltgrid_protocol::escrow::{Condition, Deed, EscrowTerms, Releases};
use boltgrid_protocol::evidence::Evidence;
use boltgrid_protocol::forward::{Acceptance, Level, Reply, Stack, Word};
use boltgrid_protocol::id::{BookHash, ClearingDigest, MessageHash, RosterIndex};
use boltgrid_protocol::invoice::{Cause, Invoice};
use boltgrid_protocol::lightning::{LightningId, PaymentHash, Preimage};
use boltgrid_protocol::masking::Share;
use boltgrid_protocol::message::Gatekeeper;
use boltgrid_protocol::offer::{Offer, Product};
use boltgrid_protocol::order::{Order, Preference, Side, Source, Step};
use boltgrid_protocol::peer::{LightningContact, PeerRecord};
use boltgrid_protocol::reading::Reading;
use boltgrid_protocol::roster::{Roster, Rosters};
use boltgrid_protocol::seal::Seal;
use boltgrid_protocol::signing::Keypair;
use boltgrid_protocol::units::{Energy, Interval, Msat, Power, Price, Timestamp};

/// The sample charter.
pub(crate) const CHARTER: &str = include_str!("../charter.toml");
/// The interval of every sample message: five-minute intervals, so a day of 2026.
pub(crate) const INTERVAL: Interval = Interval::from_number(5_937_120);
/// Members of [`Grid::sample`].
pub(crate) const MEMBERS: u32 = 5;

/// A key of the sample world, by role and number.
pub(crate) fn key(role: u8, number: u32) -> Keypair {
    let mut seed = [role; 32];
    seed[..4].copy_from_slice(&number.to_be_bytes());
    Keypair::from_seed(&seed)
}

/// The registrars of the sample charter.
pub(crate) fn registrars() -> Vec<Keypair> {
    [201, 202, 203].map(|seed| Keypair::from_seed(&[seed; 32])).to_vec()
}

/// A moment of delivery of [`INTERVAL`].
pub(crate) fn now(charter: &Charter) -> Timestamp {
    charter.interval.start_of(INTERVAL).plus_ms(1)
}

/// A member of the sample world as the registrars know it.
pub(crate) struct Person {
    /// Signs everything but readings.
    pub(crate) key: Keypair,
    /// Signs readings.
    pub(crate) meter: Keypair,
    /// The enrolment, signed by two registrars.
    pub(crate) certified: CertifiedEnrolment,
}

/// The enrolment of a member, valid from the first interval on.
pub(crate) fn enrolment(charter: &Charter, participant: &Keypair, meter: &Keypair) -> Enrolment {
    Enrolment {
        grid: charter.grid_id(),
        participant: participant.participant_id(),
        meter: meter.meter_key(),
        connection_point: "bus-1".to_owned(),
        outside: false,
        rated_import_mw: Power::from_milliwatts(20_000_000),
        rated_export_mw: Power::from_milliwatts(30_000_000),
        votes: true,
        valid_from: Interval::from_number(0),
        valid_until: Interval::from_number(10_000_000),
    }
}

/// The enrolment with the signatures of the first two registrars.
pub(crate) fn certified(enrolment: Enrolment) -> CertifiedEnrolment {
    let mut certified = CertifiedEnrolment::request(enrolment);
    registrars().iter().take(2).for_each(|registrar| certified.sign(registrar));
    certified
}

/// A grid: charter, people in roster order, roster.
pub(crate) struct Grid {
    /// The charter.
    pub(crate) charter: Arc<Charter>,
    /// The members, in roster order.
    pub(crate) people: Vec<Person>,
    /// The roster of [`INTERVAL`].
    pub(crate) roster: Arc<Roster>,
}

impl Grid {
    /// Five members, of whom the last does not vote: so four voters, one of whom may be faulty.
    pub(crate) fn sample() -> Self {
        Self::of(MEMBERS, MEMBERS - 1)
    }

    /// So many members, of whom so many vote.
    pub(crate) fn of(members: u32, voters: u32) -> Self {
        let charter = Arc::new(Charter::from_toml(CHARTER).expect("the sample charter is valid"));
        let mut keys: Vec<_> =
            (0..members).map(|number| (key(1, number), key(2, number))).collect();
        keys.sort_by_key(|(participant, _)| participant.participant_id());
        let people: Vec<_> = (0..)
            .zip(keys)
            .map(|(place, (key, meter))| {
                let votes = place < voters;
                let enrolment = Enrolment { votes, ..enrolment(&charter, &key, &meter) };
                Person { key, meter, certified: certified(enrolment) }
            })
            .collect();
        let enrolments: Vec<_> = people.iter().map(|person| person.certified.clone()).collect();
        let roster = Roster::at(&charter, &enrolments, INTERVAL).expect("the sample is valid");
        Self { charter, people, roster: Arc::new(roster) }
    }

    /// The place of a person.
    pub(crate) fn person(&self, index: RosterIndex) -> &Person {
        &self.people[index.as_usize()]
    }

    /// A gatekeeper of the grid.
    pub(crate) fn gatekeeper(&self) -> Gatekeeper {
        let enrolments = self.people.iter().map(|person| person.certified.clone()).collect();
        let rosters = Rosters::new(Arc::clone(&self.charter), enrolments).expect("all are valid");
        Gatekeeper::new(Arc::clone(&self.charter), rosters)
    }

    /// Signs `body` as the member at a place, with its own key.
    pub(crate) fn try_sign<T: Payload>(
        &self,
        author: RosterIndex,
        interval: Interval,
        body: &T,
    ) -> Result<Verified<T>, MessageRejected> {
        let person = self.person(author);
        let key = if T::KIND == Reading::KIND { &person.meter } else { &person.key };
        let author = (&person.key.participant_id(), key);
        Verified::sign(body, interval, author, (&self.charter, &self.roster))
    }

    /// Signs a body of [`INTERVAL`] that is known to be valid.
    pub(crate) fn sign<T: Payload>(&self, author: u32, body: &T) -> Verified<T> {
        self.try_sign(RosterIndex::new(author), INTERVAL, body).expect("a valid body")
    }

    /// Everybody's acks and the book that follows from them.
    pub(crate) fn acks_and_book(&self) -> (Vec<Verified<Ack>>, Book) {
        let orders: Vec<_> =
            (0..).zip(&self.people).map(|(place, _)| self.sign(place, &order(place))).collect();
        let mut held = Bitmap::empty(orders.len());
        orders.iter().for_each(|order| held.insert(order.author()));
        let hashes: Vec<MessageHash> = orders.iter().map(Verified::hash).collect();
        let ack = Ack { held, root: merkle_root(&hashes) };
        let acks = self.roster.voters().iter().map(|voter| self.sign(voter.get(), &ack)).collect();
        let entries = orders
            .iter()
            .map(|order| BookEntry { author: order.author(), order: order.hash() })
            .collect();
        (acks, Book { entries })
    }

    /// The proposal of the first view, and who makes it.
    pub(crate) fn proposal(&self) -> (RosterIndex, Proposal) {
        let (acks, book) = self.acks_and_book();
        let quorum = acks.iter().take(self.roster.quorum());
        let acks = quorum.map(|ack| ack.bytes().to_vec()).collect();
        let leader = self.roster.leader(INTERVAL, 0).expect("somebody votes");
        (leader, Proposal { view: 0, valid_view: None, acks, book })
    }

    /// A certificate by the first quorum of voters.
    pub(crate) fn certificate(&self) -> BookCertificate {
        let book = self.acks_and_book().1;
        let vote = Vote {
            view: 1,
            stage: Stage::Precommit,
            book: Some(book.hash(&self.roster, INTERVAL)),
        };
        let voters = self.roster.voters().iter().take(self.roster.quorum());
        let precommits =
            voters.map(|voter| self.sign(voter.get(), &vote).bytes().to_vec()).collect();
        BookCertificate { interval: INTERVAL, view: 1, book, precommits }
    }

    /// A message of every kind, by name.
    pub(crate) fn messages(&self) -> Vec<(&'static str, Arc<[u8]>)> {
        fn bytes<T>(message: &Verified<T>) -> Arc<[u8]> {
            Arc::clone(message.bytes())
        }
        let (leader, proposal) = self.proposal();
        vec![
            ("order", bytes(&self.sign(0, &order(0)))),
            ("ack", bytes(&self.acks_and_book().0[0])),
            ("proposal", bytes(&self.sign(leader.get(), &proposal))),
            ("vote", bytes(&self.sign(1, &vote(Some(7))))),
            ("trade_confirm", bytes(&self.sign(1, &confirm()))),
            ("reading", bytes(&self.sign(2, &reading(&self.charter, INTERVAL)))),
            ("evidence", bytes(&self.sign(3, &self.evidence()))),
            ("peer_record", bytes(&self.sign(4, &full_record(&self.charter)))),
            ("offer", bytes(&self.sign(0, &offer(&self.charter)))),
            ("acceptance", bytes(&self.sign(1, &acceptance(self)))),
            ("reply", bytes(&self.sign(0, &reply(self)))),
            ("invoice", bytes(&self.sign(1, &invoice()))),
            ("deed", bytes(&self.sign(0, &Deed::Terms(escrow_terms(self))))),
            ("seal", bytes(&self.sign(2, &self.seal()))),
            ("share", bytes(&self.sign(2, &share(4_711)))),
        ]
    }

    /// What the third member says in place of its reading where readings are not open.
    pub(crate) fn seal(&self) -> Seal {
        let reading = self.sign(2, &reading(&self.charter, INTERVAL));
        Seal::over(&reading, &Seal::secret(&reading, &self.people[2].key))
    }

    /// The third member's word on the sample escrow.
    pub(crate) fn arbitration(&self) -> Deed {
        Deed::Arbitration { escrow: self.sign(0, &Deed::Terms(escrow_terms(self))).hash() }
    }

    /// The second member's word on it; its text is made up.
    pub(crate) fn hold(&self) -> Deed {
        let escrow = self.sign(0, &Deed::Terms(escrow_terms(self))).hash();
        Deed::Hold { escrow, bolt11: "lnbcrt15240p1boltgrid".to_owned() }
    }

    /// Evidence that the first member voted twice.
    pub(crate) fn evidence(&self) -> Evidence {
        let [first, second] = [Some(7), None].map(|book| self.sign(0, &vote(book)));
        Evidence { first: first.bytes().to_vec(), second: second.bytes().to_vec() }
    }
}

/// A step of an order.
pub(crate) fn step(side: Side, energy_mwh: u64, limit_msat_per_kwh: i64) -> Step {
    Step {
        side,
        source: Source::Battery,
        energy_mwh: Energy::from_milliwatt_hours(energy_mwh),
        limit_msat_per_kwh: Price::from_msat_per_kwh(limit_msat_per_kwh),
    }
}

/// A full order of the member at `author`: four buys, four sells, partners and preferences.
pub(crate) fn order(author: u32) -> Order {
    let partner = RosterIndex::new(u32::from(author == 0));
    Order {
        steps: vec![
            step(Side::Buy, 100_000, 250_000),
            step(Side::Buy, 200_000, 120_000),
            step(Side::Buy, 300_000, 60_000),
            step(Side::Buy, 50_000, -40_000),
            step(Side::Sell, 400_000, 260_000),
            step(Side::Sell, 300_000, 280_000),
            step(Side::Sell, 200_000, 300_000),
            step(Side::Sell, 100_000, 480_000),
        ],
        channel_partners: vec![partner],
        preferences: vec![Preference::Partner(partner), Preference::Source(Source::Pv)],
        committed_sell_mwh: Energy::from_milliwatt_hours(500_000),
        committed_buy_mwh: Energy::from_milliwatt_hours(250_000),
    }
}

/// A precommit of the second view.
pub(crate) fn vote(book: Option<u8>) -> Vote {
    let book = book.map(|byte| BookHash::from_bytes([byte; 32]));
    Vote { view: 1, stage: Stage::Precommit, book }
}

/// The confirm of a trade between the first two members.
pub(crate) fn confirm() -> TradeConfirm {
    TradeConfirm {
        book: BookHash::from_bytes([7; 32]),
        clearing: ClearingDigest::from_bytes([8; 32]),
        terms: TradeTerms {
            index: 3,
            seller: RosterIndex::new(0),
            buyer: RosterIndex::new(1),
            energy_mwh: Energy::from_milliwatt_hours(123_456),
            price_msat_per_kwh: Price::from_msat_per_kwh(-12_345),
        },
    }
}

/// The reading at the start of an interval.
pub(crate) fn reading(charter: &Charter, interval: Interval) -> Reading {
    Reading {
        at: charter.interval.start_of(interval),
        sequence: 42,
        previous: MessageHash::from_bytes([9; 32]),
        import_register_mwh: Energy::from_milliwatt_hours(1_000_000_000_001),
        export_register_mwh: Energy::from_milliwatt_hours(2_000_000_000_002),
        power_mw: Power::from_milliwatts(-1_500_000),
        potential_mw: Some(Power::from_milliwatts(-2_500_000)),
        voltage_mv: Some(230_400),
        frequency_mhz: None,
    }
}

/// Where somebody can be reached for an hour.
pub(crate) fn peer_record(charter: &Charter) -> PeerRecord {
    PeerRecord {
        addresses: vec![
            "/ip4/192.0.2.7/tcp/4001".to_owned(),
            "/ip6/2001:db8::7/udp/4001/quic-v1".to_owned(),
        ],
        sequence: 11,
        made_at: now(charter),
        expires_at: now(charter).plus_ms(3_600_000),
        lightning: None,
    }
}

/// The same with a Lightning node.
pub(crate) fn full_record(charter: &Charter) -> PeerRecord {
    PeerRecord { lightning: Some(lightning_contact()), ..peer_record(charter) }
}

/// A Lightning node at one address. Its signature is of the right form and of nothing.
pub(crate) fn lightning_contact() -> LightningContact {
    let mut node = [0x79; 33];
    node[0] = 2;
    LightningContact {
        node: LightningId::from_bytes(&node).expect("a point of the curve"),
        addresses: vec!["192.0.2.7:9735".to_owned()],
        signature: "y".repeat(104),
    }
}

/// Half a kilowatt-hour of PV in every interval of two hours, standing for an hour.
pub(crate) fn offer(charter: &Charter) -> Offer {
    Offer {
        product: Product { side: Side::Sell, source: Source::Pv },
        energy_mwh: Energy::from_milliwatt_hours(500_000),
        minimum_mwh: Energy::from_milliwatt_hours(50_000),
        price_msat_per_kwh: Price::from_msat_per_kwh(150_000),
        first: INTERVAL.plus(12),
        after: INTERVAL.plus(36),
        sequence: 3,
        made_at: now(charter),
        expires_at: now(charter).plus_ms(3_600_000),
        withdrawn: false,
    }
}

/// A stack of so many milliwatt-hours in the intervals from `first` on.
pub(crate) fn stack(first: Interval, before_mwh: &[u64]) -> Stack {
    let levels = (0..).zip(before_mwh).map(|(place, before_mwh)| Level {
        first: first.plus(place),
        after: first.plus(place).next(),
        before_mwh: Energy::from_milliwatt_hours(*before_mwh),
    });
    Stack::of(levels).expect("even enough")
}

/// What the second member accepts of the first one's offer.
pub(crate) fn acceptance(grid: &Grid) -> Acceptance {
    Acceptance {
        offerer: grid.people[0].key.participant_id(),
        product: offer(&grid.charter).product,
        energy_mwh: Energy::from_milliwatt_hours(100_000),
        price_msat_per_kwh: Price::from_msat_per_kwh(150_000),
        stack: stack(INTERVAL.plus(20), &[0, 0, 300_000]),
    }
}

/// The first member's word on it.
pub(crate) fn reply(grid: &Grid) -> Reply {
    Reply {
        acceptance: grid.sign(1, &acceptance(grid)).bytes().to_vec(),
        word: Word::Forward(stack(INTERVAL.plus(20), &[7, 7, 7])),
    }
}

/// The second member's invoice to the first over a tranche of their trade; its text is made up.
pub(crate) fn invoice() -> Invoice {
    Invoice {
        payer: RosterIndex::new(0),
        cause: Cause::Trade { index: 3 },
        tranche: 0,
        tranches: 1,
        amount_msat: Msat::from_millisatoshi(1_524).expect("in range"),
        payment_hash: PaymentHash::from_bytes([6; 32]),
        bolt11: "lnbcrt15240p1boltgrid".to_owned(),
    }
}

/// The first member locks 20 000 sat for the second, who is to give a kilowatt-hour within two hours;
/// the third is the arbiter.
pub(crate) fn escrow_terms(grid: &Grid) -> EscrowTerms {
    let id = |place: usize| grid.people[place].key.participant_id();
    EscrowTerms {
        payee: id(1),
        arbiter: id(2),
        condition: Condition {
            subject: id(1),
            side: Side::Sell,
            energy_mwh: Energy::from_milliwatt_hours(1_000_000),
            first: INTERVAL.plus(12),
            until: INTERVAL.plus(36),
            releases: Releases::Delivered,
        },
        amount_msat: Msat::from_millisatoshi(20_000_000).expect("in range"),
        payment_hash: Preimage::from_bytes([3; 32]).payment_hash(),
        hold_blocks: 60,
        expires_at: now(&grid.charter).plus_ms(3_600_000),
    }
}

/// A masked share whose commitment is the group's base (RFC 9496, appendix A.1).
pub(crate) fn share(masked_mwh: u64) -> Share {
    let commitment = [
        0xe2, 0xf2, 0xae, 0x0a, 0x6a, 0xbc, 0x4e, 0x71, 0xa8, 0x84, 0xa9, 0x61, 0xc5, 0x00, 0x51,
        0x5f, 0x58, 0xe3, 0x0b, 0x6a, 0xa5, 0x82, 0xdd, 0x8d, 0xb6, 0xa6, 0x59, 0x45, 0xe0, 0x8d,
        0x2d, 0x76,
    ];
    Share { commitment, masked_mwh }
}
