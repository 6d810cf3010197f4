//! The first run: a guided set-up in the browser, where `boltgrid run` finds no config file.
//!
//! It listens on loopback only, prints its address and a token that opens it once, and asks step by
//! step. Nothing is written before its user says so; then the process goes on as the node.
//!
//! | part | what |
//! |---|---|
//! | [`said`] | what was said, checked; pure |
//! | [`trying`], [`chain`] | the meter and the chain tried out before they are taken |
//! | [`door`] | who may |
//! | [`pages`], [`forms`] | what is shown, and what is taken |
//! | [`finish`] | writing it all |
//! | [`words`] | every text |
//!
//! Not for: setting up without a browser (`boltgrid init`).

mod chain;
mod door;
mod finish;
mod forms;
mod pages;
mod said;
mod trying;
mod words;

use std::convert::Infallible;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::extract::{DefaultBodyLimit, FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use tokio::net::TcpListener;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use super::frame::{Frame, cookie, taste};
use super::{assets, harden, login};
use crate::access::secret::Secret;
use crate::cli::meter::discover::look::Found;
use crate::config::{CONFIG_FILE, Config, ConfigError, RawConfig};
use crate::http::connections::Connections;
use crate::http::guard::{self, Hosts};
use crate::lightning::Seed;
use door::Door;
use said::{CharterForm, LimitsForm, MeterForm, MoneyForm, PlaceForm, Said, WORDS_ASKED};
use trying::Trying;

/// The cookie of the browser that sets the node up.
const COOKIE: &str = "boltgrid_setup";
/// Most bytes of a form: a charter and all that is around it.
const FORM_MAX: usize = 1024 * 1024;

/// What the set-up ended with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// There is a config file: the node can start.
    Node,
    /// A testnet is wanted instead, of this program, with its page where the set-up was.
    Testnet(PathBuf, SocketAddr),
}

/// Why there is no set-up.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The command line.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The address is taken.
    #[error(
        "there is no config file yet, and the set-up in the browser cannot listen on {address}: \
         {source}; name another address by --rpc, or set the node up by `boltgrid init`"
    )]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the operating system says.
        source: io::Error,
    },
    /// No random bytes for a token.
    #[error("no randomness for a token: {0}")]
    Randomness(#[source] getrandom::Error),
    /// Nobody can be told the token.
    #[error("the terminal cannot be written: {0}")]
    Output(#[source] io::Error),
}

/// All there is to a set-up.
struct Setup {
    door: Door,
    /// The node's folder.
    dir: PathBuf,
    /// What the command line says beside the config file that is to be.
    overrides: RawConfig,
    address: SocketAddr,
    /// The testnet's program, where it is installed.
    testnet: Option<PathBuf>,
    state: Mutex<Progress>,
    outcome: OnceLock<Outcome>,
    over: CancellationToken,
}

/// How far it is, and what the forms said last.
#[derive(Default)]
struct Progress {
    said: Said,
    place: PlaceForm,
    charter: CharterForm,
    meter: MeterForm,
    limits: LimitsForm,
    money: MoneyForm,
    /// What the last search found; none before one.
    found: Option<Vec<Found>>,
    trying: Option<Trying>,
    seed: Option<Seed>,
    /// Whether the words were said to be on paper, and are shown no more.
    is_written_down: bool,
    asked: [usize; WORDS_ASKED],
}

/// Guides through the set-up of the node whose config is to be `file`, until it is over.
///
/// # Errors
///
/// [`SetupError`], before anything was asked.
pub(crate) async fn guide(
    file: &Path,
    overrides: RawConfig,
    mut out: impl Write,
) -> Result<Outcome, SetupError> {
    let config = Config::checked(overrides.clone(), file)?;
    let port = config.rpc.listen.port();
    let wanted = match config.rpc.listen.ip() {
        ip if ip.is_loopback() => SocketAddr::new(ip, port),
        // Whoever reaches the node later is nobody to set it up.
        _ => SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port),
    };
    let failed = |source| SetupError::Listen { address: wanted, source };
    let listener = TcpListener::bind(wanted).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let token = Secret::random().map_err(SetupError::Randomness)?;
    let dir = file.parent().unwrap_or(Path::new("")).to_owned();
    let state = Progress::first(Seed::read(&config.seed_file).is_ok());
    let setup = Arc::new(Setup {
        door: Door::new(&token),
        dir,
        overrides,
        address,
        testnet: finish::testnet(),
        state: Mutex::new(state),
        outcome: OnceLock::new(),
        over: CancellationToken::new(),
    });
    let told = writeln!(
        out,
        "There is no {} yet. Set the node up in a browser on this machine:\n\n  address  \
         http://{address}/\n  token    {}\n\nThe token opens it once. Nothing is written before you \
         say so; Ctrl-C ends it. Without a browser: boltgrid init",
        file.display(),
        token.reveal()
    );
    told.and_then(|()| out.flush()).map_err(SetupError::Output)?;
    let hosts = Hosts::new(Vec::new(), address);
    let app =
        router(Arc::clone(&setup)).layer(middleware::from_fn_with_state(hosts, guard::same_site));
    Connections::new(listener, None, &[]).serve(app, setup.over.clone()).await;
    Ok(setup.outcome.get().cloned().unwrap_or(Outcome::Node))
}

fn router(setup: Arc<Setup>) -> Router {
    let inside = Router::new()
        .route("/meter-live", get(pages::live))
        .route("/place", post(forms::place))
        .route("/charter", post(forms::charter))
        .route("/meter", post(forms::meter))
        .route("/limits", post(forms::limits))
        .route("/money", post(forms::money))
        .route("/words", post(forms::words))
        .route("/write", post(finish::write))
        .route("/testnet", post(finish::start_testnet))
        .route_layer(middleware::from_fn_with_state(Arc::clone(&setup), admit));
    Router::new()
        .route("/", get(pages::page))
        .route("/door", post(forms::door))
        .route("/taste", get(login::taste))
        .route("/assets/{name}", get(assets::serve))
        .merge(inside)
        .with_state(setup)
        .layer(DefaultBodyLimit::max(FORM_MAX))
        .layer(middleware::from_fn(harden))
}

impl Setup {
    /// Whether a request comes from the browser that showed the token.
    fn knows(&self, headers: &HeaderMap) -> bool {
        let session = cookie(headers, COOKIE).and_then(Secret::shown);
        session.is_some_and(|session| self.door.knows(&session))
    }

    /// The config file that is to be.
    fn file(&self) -> PathBuf {
        self.dir.join(CONFIG_FILE)
    }

    /// Ends the set-up, once what is being answered is answered. The first word counts.
    fn end(&self, outcome: Outcome) {
        self.outcome.get_or_init(|| outcome);
        self.over.cancel();
    }
}

impl Progress {
    /// Nothing is said yet; whoever has a seed already has its words.
    fn first(has_seed: bool) -> Self {
        let on = || Some("on".to_owned());
        Self {
            said: Said { has_words: has_seed, ..Said::default() },
            charter: CharterForm { looks_around: on(), ..CharterForm::default() },
            meter: MeterForm { driver: "sunspec".to_owned(), ..MeterForm::default() },
            limits: LimitsForm { trade: on(), reserve: "0".to_owned(), ..LimitsForm::default() },
            money: MoneyForm { source: "bitcoind".to_owned(), ..MoneyForm::default() },
            ..Self::default()
        }
    }
}

/// Lets in whoever showed the token; all others are shown the door.
async fn admit(State(setup): State<Arc<Setup>>, request: Request, next: Next) -> Response {
    if setup.knows(request.headers()) {
        return next.run(request).await;
    }
    (StatusCode::SEE_OTHER, [(header::LOCATION, "./")]).into_response()
}

impl FromRequestParts<Arc<Setup>> for Frame {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Setup>) -> Result<Self, Infallible> {
        let (language, theme) = taste(&parts.headers);
        Ok(Self {
            page: "",
            language,
            theme,
            grid_name: words::of(language).set_up.to_owned(),
            who: String::new(),
            role: None,
            fiat: None,
            notice: None,
        })
    }
}

#[cfg(test)]
mod tests;
