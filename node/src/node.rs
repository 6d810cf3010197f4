//! A running node: everything that can fail at the start is opened first, then the tasks start.
//!
//! Not for: reading the config file or handling signals (the command line does), or for what any of
//! the tasks does.

mod error;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use boltgrid_market::Market;
use boltgrid_market::effect::JournalEntry;
use boltgrid_market::payments::Means;
use boltgrid_protocol::charter::Charter;
use boltgrid_protocol::id::ParticipantId;
use boltgrid_protocol::message::Gatekeeper;
use boltgrid_protocol::peer::LightningContact;
use boltgrid_protocol::roster::Rosters;
use boltgrid_protocol::signing::Keypair;
use boltgrid_protocol::units::{Interval, Timestamp};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::alerts::{self, AlertDesk, Alerts, AlertsConfig, Wishes};
use crate::catch_up::{CatchUp, CatchUpEnds, CatchUpStatus, Reach};
use crate::channels::{ChannelKeeper, ChannelPlans, KeeperEnds, OrderNames};
use crate::clock::{self, Steadiness};
use crate::config::lightning::{BitcoinNetwork, ChainSource};
use crate::config::{ChannelsConfig, Config, RpcConfig};
use crate::decisions::Decisions;
use crate::dispatcher::{DispatchDesk, Dispatcher, DispatcherEnds, MiningConfig, Targets};
use crate::escrow::{EscrowAround, EscrowDesk, EscrowEnds, EscrowTask};
use crate::feeders::{FeederState, Feeders, FeedersEnds, Sums};
use crate::grid::Grid;
use crate::history::History;
use crate::home_assistant::{HomeAssistant, HomeAssistantConfig, Sources};
use crate::http::Http;
use crate::http::health::Readiness;
use crate::instructions::OwnersWord;
use crate::keys;
use crate::lightning::{Delivery, Lightning, LightningEvents, LightningHandle};
use crate::live::Live;
use crate::market_task::{Chores, MarketTask, Paying};
use crate::meter_keys::MeterKeys;
use crate::network::behaviour::Openness;
use crate::network::{
    LightningContacts, Network, NetworkConfig, NetworkError, NetworkEvent, NetworkHandle,
};
use crate::openings::{OpeningsDesk, OpeningsTask};
use crate::planner::{Planner, PlannerEnds};
use crate::rpc::Answers;
use crate::service::{Pulse, Service};
use crate::settling::{Books, Settling};
use crate::site::{OwnReading, Site, SiteConfig, SiteWatch};
use crate::store::{Archive, JournalError, Store};
use crate::stratum::Stratum;
use crate::tasks::Tasks;
use crate::trading::Trading;

pub use error::{RunError, TaskFailure};

/// Own readings waiting for the market: one an interval, so this many intervals of delay.
const READINGS_MAX: usize = 16;
/// Set points waiting for the site: one an interval.
const COMMANDS_MAX: usize = 4;
/// Intervals back from now whose journal is taken up again: as far as a round can still be open.
const INTERVALS_TAKEN_UP: u64 = 2;
/// Intervals before that, back from the last trade that was signed: those that a node which was down
/// for long may not have settled.
const INTERVALS_MISSED: u64 = 4;
/// Milliseconds in a day.
const DAY_MS: u64 = 86_400_000;

/// Who this node is, and in which grid.
struct Identity {
    key: Keypair,
    meter: MeterKeys,
    participant: ParticipantId,
    charter: Arc<Charter>,
    rosters: Rosters,
    /// The clock as it was when the node began to start.
    steadiness: Steadiness,
}

/// Runs a node until `shutdown` is cancelled or something gives up.
///
/// # Errors
///
/// [`RunError`], saying what to do about it.
pub async fn run(config: Config, shutdown: CancellationToken) -> Result<(), RunError> {
    let started_at = clock::now();
    let identity = identity(&config, started_at).await?;
    let store = Store::open(&config.data_dir)?;
    let tasks = start(config, identity, &store, started_at, shutdown).await?;
    tasks.wait().await?;
    info!("stopped");
    Ok(())
}

async fn identity(config: &Config, now: Timestamp) -> Result<Identity, RunError> {
    let key = keys::read(&config.keys.participant_key_file)?;
    let meter = MeterKeys::open(&config.keys.meter).await?;
    let Grid { charter, mut rosters } = Grid::load(&config.grid)?;
    let participant = key.participant_id();
    let roster = rosters.at(charter.interval.interval_at(now));
    let place = roster.index_of(&participant);
    info!(
        %participant, grid = %charter.name, grid_id = %roster.grid(),
        members = roster.members().len(), voters = roster.voters().len(), "starting"
    );
    match place.and_then(|place| roster.member(place)) {
        None => warn!(
            "this participant is not enrolled in the current epoch: the node follows the grid \
             and trades nothing; ask a registrar to sign an enrolment"
        ),
        Some(member) if meter.public().all(|key| key != member.enrolment.meter) => warn!(
            "the meter key is not the enrolled one: readings will be rejected by everyone; use \
             the key that was enrolled, or enrol the new one"
        ),
        Some(_) => {}
    }
    let steadiness = Steadiness::begin(charter.interval.clock_skew_max_ms);
    Ok(Identity { key, meter, participant, charter, rosters, steadiness })
}

async fn start(
    config: Config,
    Identity { key, meter, participant, charter, rosters, steadiness }: Identity,
    store: &Store,
    started_at: Timestamp,
    shutdown: CancellationToken,
) -> Result<Tasks<TaskFailure>, RunError> {
    let (reach, (bitcoin, means)) = (reach(&charter, &config), means(&config));
    let payments = open_lightning(&config, &charter, store).await?;
    let grid = || (Arc::clone(&charter), rosters.clone());
    let contact = payments.as_ref().map(|it| it.contact(&rosters, &participant));
    let (network, handle, events) = open_network(config.network, contact, &key, grid()).await?;
    let contacts = handle.watch_lightning_contacts();
    let (history, watched_history) = watch::channel(History::default());
    let (live, word) = (Live::default(), OwnersWord::open(&config.data_dir, config.owner)?);
    let around = (store.archive(), handle.clone(), history.clone(), live.clone());
    let (catch_up, CatchUpEnds { of_history, learnt, status: catch_up_status }) =
        CatchUp::new(reach, key.clone(), grid(), around);
    let (measuring, MeasuringEnds { readings, set_points, shows, feeders, sums, dispatch }) =
        open_measuring((config.site, config.mining), (meter, participant), grid(), (store, &live))
            .await?;
    let ((trading, trades), (alerts, wishes), pulse) =
        (Trading::new(), AlertDesk::new(), Pulse::default());
    let around = (payments.as_ref(), contacts.clone());
    let (keeper, channel_plans, named) =
        keeper(config.channels, participant, grid(), store.archive(), around);
    let around = escrow_around(store, (&handle, &watched_history), payments.as_ref().zip(bitcoin));
    let (escrow, EscrowEnds { of_escrow, held, desk }) =
        EscrowTask::new(grid(), key.clone(), config.owner.willing, around).await?;
    let around = (handle.clone(), store.archive());
    let (openings, of_openings, opens) = OpeningsTask::new(grid(), key.clone(), around);
    let lives = (shows.clone(), feeders, handle.clone(), live.clone());
    let asked = (trading, desk, opens, alerts, dispatch);
    let pays = (payments.as_ref().map(|it| it.handle.clone()), channel_plans);
    let known = (store.archive(), watched_history, catch_up_status);
    let answers = answers((grid(), participant, started_at), lives, known, asked, pays);
    let about = (config.home_assistant.as_ref(), config.alerts, config.data_dir.as_path());
    let tells = tells(&config.rpc, about, answers, (wishes, pulse.clone())).await?;
    let books = Books::new(store.archive(), charter.interval);
    let (started, paying) = settle(payments.zip(bitcoin), books, held).unzip();
    let oldest = charter.interval.interval_at(started_at).minus(INTERVALS_TAKEN_UP);
    let planner = Planner::new(grid(), participant, word.owner(), (shows.state, named), set_points);
    let market = MarketTask {
        participant,
        charter: Arc::clone(&charter),
        gate: Gatekeeper::new(Arc::clone(&charter), rosters.clone()),
        market: Market::new(grid().0, grid().1, key, load(store, oldest).await?, means),
        paying,
        planner,
        word,
        steadiness,
        network: handle,
        journal: store.journal(),
        archive: store.archive(),
        keep_intervals: keep_intervals(&charter, config.keep_days),
        history,
        sums,
        live,
        chores: Chores::default(),
        pulse,
        events,
        readings,
        of_history,
        of_escrow,
        of_openings,
        learnt,
        trades,
        words: BTreeMap::new(),
    };
    let top = (tells, measuring, catch_up, (escrow, openings));
    Ok(start_tasks(shutdown, top, (market, oldest, keeper), (network, started.zip(Some(contacts)))))
}

/// What measures and what follows from it at once, yet to be run: the site, the feeders by everybody's
/// readings, and the machines.
type Measuring = (Site, Feeders, Dispatcher, Option<Stratum>);

/// What others have to do with it.
struct MeasuringEnds {
    readings: mpsc::Receiver<OwnReading>,
    set_points: PlannerEnds,
    shows: SiteWatch,
    feeders: watch::Receiver<Vec<FeederState>>,
    sums: watch::Sender<Sums>,
    dispatch: DispatchDesk,
}

async fn open_measuring(
    (config, mining): (SiteConfig, MiningConfig),
    from: (MeterKeys, ParticipantId),
    (charter, rosters): (Arc<Charter>, Rosters),
    (store, live): (&Store, &Live),
) -> Result<(Measuring, MeasuringEnds), RunError> {
    let (reading_sender, readings) = mpsc::channel(READINGS_MAX);
    let (set_points, commands) = mpsc::channel(COMMANDS_MAX);
    let (participant, grid) = (from.1, || (Arc::clone(&charter), rosters.clone()));
    let kept = (store.journal(), store.archive());
    let ends = (reading_sender, commands, live.clone());
    let (site, shows) = Site::open(config, from, grid(), kept, ends).await?;
    let (watching, FeedersEnds { states: feeders, sums }) =
        Feeders::new(grid(), participant, store.archive());
    let (aimed, targets) = watch::channel(Targets::new());
    let (proxy, machines_of) = (mining.stratum.clone(), mining.workers());
    let (prove, proved) = watch::channel(Arc::default());
    let (dispatcher, DispatcherEnds { desk: dispatch, mining }) = Dispatcher::new(
        mining,
        participant,
        grid(),
        (shows.clone(), targets, live.clone()),
        proved,
    )?;
    let stratum = match proxy {
        Some(proxy) => {
            Some(Stratum::open(&proxy, machines_of, dispatch.status.clone(), prove).await?)
        }
        None => None,
    };
    let set_points = (set_points, mining, aimed);
    let ends = MeasuringEnds { readings, set_points, shows, feeders, sums, dispatch };
    Ok(((site, watching, dispatcher, stratum), ends))
}

async fn open_network(
    config: crate::config::NetworkConfig,
    lightning: Option<LightningContact>,
    key: &Keypair,
    (charter, rosters): (Arc<Charter>, Rosters),
) -> Result<(Network, NetworkHandle, mpsc::Receiver<NetworkEvent>), NetworkError> {
    let config = NetworkConfig { lightning, ..network_config(config) };
    Network::open(config, key.clone(), charter, rosters, clock::now).await
}

fn escrow_around(
    store: &Store,
    (network, history): (&NetworkHandle, &watch::Receiver<History>),
    payments: Option<(&Payments, BitcoinNetwork)>,
) -> EscrowAround {
    let (network, contacts) = (network.clone(), network.watch_lightning_contacts());
    let (journal, archive, history) = (store.journal(), store.archive(), history.clone());
    let lightning = payments.map(|(it, bitcoin)| (it.handle.clone(), bitcoin));
    EscrowAround { network, contacts, journal, archive, history, lightning }
}

fn start_tasks(
    shutdown: CancellationToken,
    (
        (service, http, home_assistant, alerts),
        (site, feeders, dispatcher, stratum),
        catch_up,
        (escrow, openings),
    ): (Tells, Measuring, CatchUp, (EscrowTask, OpeningsTask)),
    (market, oldest, keeper): (MarketTask, Interval, Option<ChannelKeeper>),
    (network, payments): (Network, Option<Started>),
) -> Tasks<TaskFailure> {
    let mut tasks = Tasks::new(shutdown);
    let decisions = Decisions::new(market.archive.clone(), &market.live);
    // In the order in which they stop: what takes work in first, what work rests on last.
    if let Some(service) = service {
        tasks.start("service", |stop| async move {
            service.run(stop).await;
            Ok(())
        });
    }
    tasks.start("http", |stop| async move {
        http.run(stop).await;
        Ok(())
    });
    if let Some(home_assistant) = home_assistant {
        tasks.start("home-assistant", |stop| async move {
            home_assistant.run(stop).await;
            Ok(())
        });
    }
    tasks.start("alerts", |stop| async move { Ok(alerts.run(stop).await?) });
    if let Some(stratum) = stratum {
        tasks.start("stratum", |stop| async move {
            stratum.run(stop).await;
            Ok(())
        });
    }
    tasks.start("dispatcher", |stop| async move {
        dispatcher.run(stop).await;
        Ok(())
    });
    tasks.start("decisions", |stop| async move {
        decisions.run(stop).await;
        Ok(())
    });
    tasks.start("site", |stop| async move { Ok(site.run(stop).await?) });
    tasks.start("feeders", |stop| async move {
        feeders.run(stop).await;
        Ok(())
    });
    tasks.start("catch-up", |stop| async move {
        catch_up.run(stop).await;
        Ok(())
    });
    if let Some(keeper) = keeper {
        tasks.start("channels", |stop| async move {
            keeper.run(stop).await;
            Ok(())
        });
    }
    tasks.start("openings", |stop| async move {
        openings.run(stop).await;
        Ok(())
    });
    tasks.start("escrow", |stop| async move { Ok(escrow.run(stop).await?) });
    tasks.start("market", |stop| async move { Ok(market.run(stop, oldest).await?) });
    tasks.start("network", |stop| async move { Ok(network.run(stop).await?) });
    if let Some(((lightning, settling), contacts)) = payments {
        tasks.start("settling", |stop| async move {
            settling.run(stop).await;
            Ok(())
        });
        tasks.start("lightning", |stop| async move { Ok(lightning.run(stop, contacts).await?) });
    }
    tasks
}

/// What answers are made of.
fn answers(
    ((charter, rosters), participant, started_at): (
        (Arc<Charter>, Rosters),
        ParticipantId,
        Timestamp,
    ),
    (site, feeders, network, live): (
        SiteWatch,
        watch::Receiver<Vec<FeederState>>,
        NetworkHandle,
        Live,
    ),
    (archive, history, catch_up): (
        Archive,
        watch::Receiver<History>,
        watch::Receiver<CatchUpStatus>,
    ),
    (trading, escrow, openings, alerts, dispatch): (
        Trading,
        EscrowDesk,
        OpeningsDesk,
        AlertDesk,
        DispatchDesk,
    ),
    (lightning, channel_plans): (Option<LightningHandle>, Option<ChannelPlans>),
) -> Answers {
    Answers {
        participant,
        charter,
        rosters,
        started_at,
        history,
        site,
        feeders,
        network,
        archive,
        catch_up,
        trading,
        lightning,
        channel_plans,
        escrow,
        openings,
        alerts,
        dispatch,
        live,
    }
}

/// Who tells others how the node is.
type Tells = (Option<Service>, Http, Option<HomeAssistant>, Alerts);

/// The port, the tasks that tell the service manager and Home Assistant, none where nobody wants them,
/// and alerts.
async fn tells(
    rpc: &RpcConfig,
    (home_assistant, alerts, data_dir): (Option<&HomeAssistantConfig>, AlertsConfig, &Path),
    answers: Answers,
    (wishes, pulse): (Wishes, Pulse),
) -> Result<Tells, RunError> {
    let service = Service::open(pulse, Readiness::new(&answers));
    let sources = || Sources {
        site: answers.site.state.clone(),
        history: answers.history.clone(),
        lightning: answers.lightning.clone(),
        dispatch: answers.dispatch.clone(),
    };
    let open = |config| {
        HomeAssistant::open(config, &answers.participant, &answers.charter.name, sources())
    };
    let home_assistant = home_assistant.map(open).transpose()?;
    let about = (answers.participant.short().to_string(), Arc::clone(&answers.charter));
    let sources = alerts::Sources {
        site: answers.site.clone(),
        feeders: answers.feeders.clone(),
        history: answers.history.clone(),
        lightning: answers.lightning.clone(),
        dispatch: answers.dispatch.clone(),
        live: answers.live.clone(),
    };
    let alerts = Alerts::open(alerts, about, data_dir, sources, wishes)?;
    Ok((service, Http::open(rpc, data_dir, answers).await?, home_assistant, alerts))
}

/// The task that keeps the channels, and its ends. Without Lightning there is none, nobody plans and
/// orders name nobody.
fn keeper(
    config: ChannelsConfig,
    participant: ParticipantId,
    grid: (Arc<Charter>, Rosters),
    archive: Archive,
    (payments, contacts): (Option<&Payments>, watch::Receiver<LightningContacts>),
) -> (Option<ChannelKeeper>, Option<ChannelPlans>, watch::Receiver<OrderNames>) {
    let Some(payments) = payments else { return (None, None, watch::channel(None).1) };
    let lightning = (payments.handle.clone(), payments.chain.clone());
    let (keeper, KeeperEnds { plans, named }) =
        ChannelKeeper::new(config, participant, grid, (archive, contacts), lightning);
    (Some(keeper), Some(plans), named)
}

/// Lightning and what stands between it and the market, yet to be run.
type Started = ((Lightning, Settling), watch::Receiver<LightningContacts>);

/// How what is due is settled: without Lightning it is only kept in the ledger.
fn means(config: &Config) -> (Option<BitcoinNetwork>, Means) {
    let bitcoin = config.lightning.as_ref().map(|lightning| lightning.network);
    (bitcoin, bitcoin.map_or(Means::Ledger, |_| Means::Lightning(config.owner.credit)))
}

/// Lightning, open but yet to be run, and its two ends.
struct Payments {
    lightning: Lightning,
    handle: LightningHandle,
    events: LightningEvents,
    chain: ChainSource,
}

impl Payments {
    /// Where this Lightning node is, bound to the participant.
    fn contact(&self, rosters: &Rosters, participant: &ParticipantId) -> LightningContact {
        self.lightning.contact(&LightningContact::binding(&rosters.grid(), participant))
    }
}

/// Puts the settling between Lightning and the market.
fn settle(
    payments: Option<(Payments, BitcoinNetwork)>,
    books: Books,
    held: mpsc::Sender<Delivery>,
) -> Option<((Lightning, Settling), Paying)> {
    let (Payments { lightning, handle, events, .. }, network) = payments?;
    let (settling, ends) = Settling::new(handle, events, books, held);
    Some(((lightning, settling), Paying::new(ends, network)))
}

/// What the market takes up again: what it signed lately, and what is due and paid.
async fn load(store: &Store, oldest: Interval) -> Result<Vec<JournalEntry>, JournalError> {
    let mut journal = store.journal().load_since(oldest).await?;
    let missed = store.journal().load_last_signed_by_both(oldest, INTERVALS_MISSED).await?;
    journal.extend(missed);
    journal.extend(store.journal().load_payments().await?);
    Ok(journal)
}

async fn open_lightning(
    config: &Config,
    charter: &Charter,
    store: &Store,
) -> Result<Option<Payments>, RunError> {
    let Some(mut lightning) = config.lightning.clone() else {
        warn!(
            "no `[lightning]` in the config: this node keeps accounts of its trades and pays none \
             of them, nor is it paid"
        );
        return Ok(None);
    };
    lightning.forward &= charter.settlement.forwarding;
    if charter.settlement.forwarding && !lightning.forward {
        warn!(
            "`lightning.forward` is false, and the charter has members pass on what others pay each \
             other: who has a channel with this node alone reaches nobody else"
        );
    }
    let chain = lightning.chain.clone();
    let (lightning, handle, events) =
        Lightning::open(lightning, &config.data_dir, store.journal()).await?;
    Ok(Some(Payments { lightning, handle, events, chain }))
}

fn network_config(config: crate::config::NetworkConfig) -> NetworkConfig {
    // As the signed record does, which names the external addresses where there are any.
    let hides_listen = !config.external.is_empty();
    NetworkConfig {
        listen: config.listen,
        external: config.external,
        bootstrap: config.bootstrap,
        openness: Openness { mdns: config.mdns, hides_listen, ..Openness::default() },
        lightning: None,
    }
}

fn reach(charter: &Charter, config: &Config) -> Reach {
    let intervals = keep_intervals(charter, config.catch_up.days.min(config.keep_days));
    Reach { intervals, every_ms: config.catch_up.every_ms() }
}

fn keep_intervals(charter: &Charter, keep_days: u32) -> u64 {
    let kept_ms = DAY_MS.saturating_mul(u64::from(keep_days));
    kept_ms.checked_div(charter.interval.interval_ms).unwrap_or(u64::MAX)
}
