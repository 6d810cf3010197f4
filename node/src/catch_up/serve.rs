//! Answering members that catch up: from the archive, one question at a time.
//!
//! Who is served, and how often, the network has seen to. Not for: catching up oneself.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use boltgrid_protocol::direct::{Answer, Question};
use boltgrid_protocol::history::Stretch;
use boltgrid_protocol::id::ParticipantId;
use tokio::task::spawn_blocking;
use tokio::time::Instant;
use tracing::{debug, warn};

use super::rejected::HistoryRejected;
use super::set::{ItemSet, SetError};
use super::task::CatchUp;
use crate::store::ArchiveError;

/// Sets kept for those who visit: each asks several times about the same stretch.
const SETS_KEPT: usize = 4;
/// How long a set is kept: longer, and what this node learns is not handed on.
const SET_AGE_MAX: Duration = Duration::from_secs(10);

/// The sets that were asked about last.
#[derive(Debug, Default)]
pub(super) struct Sets {
    at_hand: VecDeque<(Stretch, Instant, Arc<ItemSet>)>,
}

impl Sets {
    fn get(&mut self, stretch: Stretch) -> Option<Arc<ItemSet>> {
        let now = Instant::now();
        self.at_hand.retain(|(_, read_at, _)| now - *read_at < SET_AGE_MAX);
        let found = self.at_hand.iter().find(|(of, _, _)| *of == stretch);
        found.map(|(_, _, set)| Arc::clone(set))
    }

    fn keep(&mut self, stretch: Stretch, set: &Arc<ItemSet>) {
        self.at_hand.truncate(SETS_KEPT - 1);
        self.at_hand.push_front((stretch, Instant::now(), Arc::clone(set)));
    }
}

impl CatchUp {
    /// What a member is answered; nothing where this node cannot, or the question is none.
    pub(super) async fn answer(
        &self,
        sets: &mut Sets,
        from: ParticipantId,
        question: Question,
    ) -> Option<Answer> {
        match question {
            Question::Reconcile { stretch, message } => {
                let Some(set) = self.set(sets, stretch).await else {
                    return Some(Answer::Reconcile(None));
                };
                let answer = spawn_blocking(move || Ok(set.reconcile(&message)));
                match self.done::<_>(answer.await)? {
                    Ok(message) => Some(Answer::Reconcile(Some(message))),
                    Err(error) => {
                        let rejected = HistoryRejected::Reconciliation(error);
                        debug!(%from, %rejected, "asked for nonsense");
                        self.report(|status| status.refuse(rejected.reason()));
                        self.blame(from);
                        None
                    }
                }
            }
            Question::Items { stretch, ids } => {
                let set = self.set(sets, stretch).await?;
                let archive = self.archive.clone();
                self.done(spawn_blocking(move || set.items(&archive, &ids)).await)
            }
            Question::Orders { .. }
            | Question::Certificate { .. }
            | Question::Clock
            | Question::Reply { .. }
            | Question::Invoice { .. }
            | Question::Escrow(_)
            | Question::Readings { .. }
            | Question::Open { .. } => None,
        }
    }

    async fn set(&self, sets: &mut Sets, stretch: Stretch) -> Option<Arc<ItemSet>> {
        let at_hand = sets.get(stretch);
        if at_hand.is_some() {
            return at_hand;
        }
        let set = self.read(stretch).await?;
        sets.keep(stretch, &set);
        Some(set)
    }

    /// What this node holds of a stretch; nothing where that is more than is served.
    pub(super) async fn read(&self, stretch: Stretch) -> Option<Arc<ItemSet>> {
        let (archive, charter) = (self.archive.clone(), Arc::clone(&self.charter));
        let read = spawn_blocking(move || {
            Ok::<_, ArchiveError>(ItemSet::read(&archive, stretch, &charter))
        });
        match self.done(read.await)? {
            Ok(set) => Some(Arc::new(set)),
            Err(error @ (SetError::TooMany | SetError::TooLong)) => {
                debug!(%error, "not served");
                None
            }
            Err(error @ (SetError::Archive(_) | SetError::Damaged(_))) => {
                warn!(%error, "history is not readable");
                None
            }
        }
    }
}
