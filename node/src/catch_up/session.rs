//! Catching up with one member on one stretch of intervals, without I/O: an answer goes in, what is
//! proven and the next question come out.
//!
//! First both find out by range reconciliation what this node lacks, then it asks for that, verifies
//! it, and asks for the orders of the books that came. The member may lie in every way: it can make
//! this node ask in vain for a bounded time, and nothing else.
//! Not for: which member, when, or what becomes of what is found.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use boltgrid_protocol::agreement::BookEntry;
use boltgrid_protocol::direct::{Answer, Question};
use boltgrid_protocol::history::{IDS_MAX, ITEMS_MAX, Item, Stretch};
use boltgrid_protocol::id::ItemId;
use boltgrid_protocol::units::Interval;
use negentropy::{Negentropy, NegentropyStorageVector};

use super::rejected::HistoryRejected;
use super::set::{FRAME_BYTES, ItemSet};
use super::verify::{Certified, Found, Proven, Verifier};

/// Most messages of range reconciliation: a node that has nothing needs one for each 500 items.
pub(super) const ROUNDS_MAX: u32 = 64;

/// What a session wants next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Ask the member this.
    Ask(Question),
    /// There is nothing more to be had.
    Done(Outcome),
}

/// How a session ended that the member saw through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Outcome {
    /// Whether the member served the stretch at all.
    pub(super) served: bool,
    /// Items that the member said it has and did not hand out.
    pub(super) withheld: usize,
}

/// One stretch with one member.
///
/// Bounded: the messages of reconciliation by [`ROUNDS_MAX`], what is asked for by [`ITEMS_MAX`], the
/// books that wait for their orders by what fits one answer. Every answer that brings nothing new
/// takes something off what is asked for, so it ends.
#[derive(Debug)]
pub(super) struct Session {
    stretch: Stretch,
    own: Arc<ItemSet>,
    /// What is of no use to us although the member has it.
    useless: Arc<BTreeSet<ItemId>>,
    negentropy: Negentropy<'static, NegentropyStorageVector>,
    rounds: u32,
    needed: BTreeSet<ItemId>,
    asked: Vec<ItemId>,
    books: Vec<Certified>,
    orders: BTreeMap<ItemId, Arc<[u8]>>,
    orders_needed: BTreeSet<ItemId>,
    outcome: Outcome,
}

impl Session {
    /// Begins with what this node holds of the stretch; `useless` is what is not to be asked for.
    ///
    /// # Errors
    ///
    /// None that a set can cause: negentropy's own.
    pub(super) fn begin(
        stretch: Stretch,
        own: Arc<ItemSet>,
        useless: Arc<BTreeSet<ItemId>>,
    ) -> Result<(Self, Question), HistoryRejected> {
        let mut negentropy = Negentropy::owned(own.storage.clone(), FRAME_BYTES)
            .map_err(HistoryRejected::Reconciliation)?;
        let message = negentropy.initiate().map_err(HistoryRejected::Reconciliation)?;
        let session = Self {
            stretch,
            own,
            useless,
            negentropy,
            rounds: 1,
            needed: BTreeSet::new(),
            asked: Vec::new(),
            books: Vec::new(),
            orders: BTreeMap::new(),
            orders_needed: BTreeSet::new(),
            outcome: Outcome { served: true, withheld: 0 },
        };
        Ok((session, Question::Reconcile { stretch, message }))
    }

    /// The stretch it is about.
    pub(super) const fn stretch(&self) -> Stretch {
        self.stretch
    }

    /// Takes the answer to the last question.
    ///
    /// # Errors
    ///
    /// [`HistoryRejected`], by which the session is over and nothing of this answer taken.
    pub(super) fn hear(
        &mut self,
        answer: Answer,
        verifier: &mut Verifier,
    ) -> Result<(Vec<Found>, Next), HistoryRejected> {
        match answer {
            Answer::Reconcile(message) if self.asked.is_empty() => {
                Ok((Vec::new(), self.hear_message(message)?))
            }
            Answer::Items(items) if !self.asked.is_empty() => {
                let found = self.hear_items(items, verifier)?;
                Ok((found, self.next()))
            }
            Answer::Orders(_)
            | Answer::Certificate(_)
            | Answer::Reconcile(_)
            | Answer::Items(_)
            | Answer::Clock { .. }
            | Answer::Reply(_)
            | Answer::Invoice(_)
            | Answer::Escrow(_)
            | Answer::Readings(_)
            | Answer::Open(_) => Err(HistoryRejected::NotAskedFor),
        }
    }

    fn hear_message(&mut self, message: Option<Vec<u8>>) -> Result<Next, HistoryRejected> {
        let Some(message) = message else {
            return Ok(Next::Done(Outcome { served: false, withheld: 0 }));
        };
        let (mut have, mut need) = (Vec::new(), Vec::new());
        let next = self
            .negentropy
            .reconcile_with_ids(&message, &mut have, &mut need)
            .map_err(HistoryRejected::Reconciliation)?;
        let need = need.into_iter().map(|id| ItemId::from_bytes(id.to_bytes()));
        self.needed.extend(need.filter(|id| !self.own.has(id) && !self.useless.contains(id)));
        if self.needed.len() > ITEMS_MAX {
            return Err(HistoryRejected::TooMany);
        }
        let Some(message) = next else { return Ok(self.next()) };
        self.rounds += 1;
        if self.rounds > ROUNDS_MAX {
            return Err(HistoryRejected::Endless);
        }
        Ok(Next::Ask(Question::Reconcile { stretch: self.stretch, message }))
    }

    fn hear_items(
        &mut self,
        items: Vec<Item>,
        verifier: &mut Verifier,
    ) -> Result<Vec<Found>, HistoryRejected> {
        let mut asked: BTreeSet<ItemId> = std::mem::take(&mut self.asked).into_iter().collect();
        let for_orders = !self.books.is_empty();
        let brought = !items.is_empty();
        let mut found = Vec::new();
        let mut books = Vec::new();
        for item in items {
            let proven = verifier.prove(item)?;
            let id = proven.id();
            // What is proven may still be another thing than was asked for, or come twice; and an id
            // may have been offered of something that is not of this stretch.
            if !asked.remove(&id) || !self.stretch.contains(proven.interval()) {
                return Err(HistoryRejected::NotAskedFor);
            }
            match proven {
                Proven::Book(_, book) => books.push(book),
                Proven::Order(order) => {
                    self.orders.insert(id, Arc::clone(order.bytes()));
                }
                Proven::Reading(reading) => found.push(Found::Reading(reading)),
                Proven::Evidence(culprit, message) => {
                    found.push(Found::Evidence { culprit, message });
                }
            }
        }
        if !brought {
            self.outcome.withheld += asked.len();
        } else if for_orders {
            self.orders_needed.extend(asked);
        } else {
            self.needed.extend(asked);
        }
        for book in &books {
            self.orders_needed.extend(order_ids(book));
        }
        self.books.extend(books);
        if self.orders_needed.is_empty() {
            found.extend(self.clear_books(verifier)?);
        }
        Ok(found)
    }

    /// Clears the books that came, now that their orders are here or will not come.
    fn clear_books(&mut self, verifier: &mut Verifier) -> Result<Vec<Found>, HistoryRejected> {
        let orders = std::mem::take(&mut self.orders);
        let mut found = Vec::new();
        for book in std::mem::take(&mut self.books) {
            let of_book: Option<Vec<_>> =
                order_ids(&book).map(|id| orders.get(&id).map(Arc::clone)).collect();
            // Without all orders a book is no history; the next member may have them.
            if let Some(of_book) = of_book {
                found.push(Found::Book(Box::new(verifier.clear(book, of_book)?)));
            }
        }
        Ok(found)
    }

    fn next(&mut self) -> Next {
        let from =
            if self.orders_needed.is_empty() { &mut self.needed } else { &mut self.orders_needed };
        while self.asked.len() < IDS_MAX
            && let Some(id) = from.pop_first()
        {
            self.asked.push(id);
        }
        if self.asked.is_empty() {
            return Next::Done(self.outcome);
        }
        Next::Ask(Question::Items { stretch: self.stretch, ids: self.asked.clone() })
    }
}

fn order_ids(book: &Certified) -> impl Iterator<Item = ItemId> + '_ {
    let at: Interval = book.certificate.interval;
    let id = move |entry: &BookEntry| ItemId::of_order(at, &entry.order);
    book.certificate.book.entries.iter().map(id)
}
