//! The end of the set-up: everything is written, its user gets a token and a request for membership,
//! and the process goes on as the node; or a testnet is started instead.
//!
//! Not for: what is written where ([`crate::first_files`]).

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::pages::{Done, View, ending, sheet};
use super::said::{Problem, Said, Step};
use super::{Outcome, Setup, words};
use crate::access::Role;
use crate::access::secret::Secret;
use crate::access::tokens::{TokenFile, TokenFileError, Wish};
use crate::cli::enrol;
use crate::config::Config;
use crate::dashboard::frame::{Frame, Notice};
use crate::dashboard::login::is_own;
use crate::first_files::{FirstFiles, Written};
use crate::{clock, keys};

/// What the owner's token is called.
const OWNER: &str = "owner";
/// How long membership is asked for: a year.
const DAYS: u64 = 365;
/// The request for membership, in the node's folder.
const REQUEST_FILE: &str = "member.request";
/// The testnet's program.
const TESTNET: &str = "boltgrid-testnet";

/// The testnet's program: beside this one, or where programs are.
pub(super) fn testnet() -> Option<PathBuf> {
    let own = std::env::current_exe().ok();
    let own = own.and_then(|it| it.parent().map(|folder| folder.to_owned()));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = own.into_iter().chain(std::env::split_paths(&path));
    folders.map(|folder| folder.join(TESTNET)).find(|it| it.is_file())
}

/// `POST ./testnet`: the process goes on as a testnet.
pub(super) async fn start_testnet(
    State(setup): State<Arc<Setup>>,
    frame: Frame,
    headers: HeaderMap,
) -> Response {
    match &setup.testnet {
        Some(program) if is_own(&headers) => {
            setup.end(Outcome::Testnet(program.clone(), setup.address));
            ending(frame, View::Testnet)
        }
        Some(_) | None => (StatusCode::SEE_OTHER, [(header::LOCATION, "./")]).into_response(),
    }
}

/// `POST ./write`: everything is written, and the node starts.
pub(super) async fn write(
    State(setup): State<Arc<Setup>>,
    frame: Frame,
    headers: HeaderMap,
) -> Response {
    let mut state = setup.state.lock().await;
    let next = state.said.next();
    if next != Step::Review {
        return sheet(&setup, frame, &mut state, next);
    }
    let written = if is_own(&headers) {
        let (config, said) = (state.said.config(), &state.said);
        let files = FirstFiles {
            dir: &setup.dir,
            config: &config,
            charter: said.grid.as_ref().map(|grid| &*grid.text),
            seed: state.seed.clone(),
            bitcoind_password: said
                .money
                .as_ref()
                .and_then(|money| money.password.as_ref())
                .map(Secret::reveal),
        };
        files.write().map_err(|error| Problem::Other(error.to_string()))
    } else {
        Err(Problem::Foreign)
    };
    let written = match written {
        Ok(written) => written,
        Err(problem) => {
            let text = words::of(frame.language).problem(&problem);
            let notice = Some(Notice { is_good: false, text });
            return sheet(&setup, Frame { notice, ..frame }, &mut state, Step::Review);
        }
    };
    let token = token(&setup);
    let request = request(&state.said, &written);
    let (request_file, request) = match request {
        Ok(request) => (setup.dir.join(REQUEST_FILE), Ok(request)),
        Err(why) => (PathBuf::new(), Err(why)),
    };
    let done = Done {
        token: token.as_ref().ok().map(|token| token.reveal().to_owned()),
        no_token: token.err().unwrap_or_default(),
        request: request.as_ref().ok().map(|bytes| STANDARD.encode(bytes)),
        no_request: request.err().unwrap_or_default(),
        request_file: request_file.display().to_string(),
        folder: setup.dir.display().to_string(),
        enrolments: written.config.grid.enrolments_dir.display().to_string(),
    };
    setup.end(Outcome::Node);
    ending(frame, View::Done(done))
}

/// The owner's token, in the data folder as the command line has it.
fn token(setup: &Setup) -> Result<Secret, String> {
    let config = Config::load(&setup.file(), setup.overrides.clone());
    let data_dir = config.map_err(|error| error.to_string())?.data_dir;
    let made = DirBuilder::new().recursive(true).mode(0o700).create(&data_dir);
    made.map_err(|error| format!("{}: {error}", data_dir.display()))?;
    let file = TokenFile::in_folder(&data_dir);
    let wish = || Wish {
        name: OWNER.to_owned(),
        role: Role::Admin,
        created_at: clock::now(),
        expires_at: None,
    };
    let token = match file.create(wish()) {
        // Of a set-up that did not come to its end.
        Err(TokenFileError::Exists { .. }) => file.revoke(OWNER).and_then(|_| file.create(wish())),
        token => token,
    };
    token.map_err(|error| error.to_string())
}

/// The request for membership, which is in the folder too.
fn request(said: &Said, written: &Written) -> Result<Vec<u8>, String> {
    let (Some(place), Some(grid)) = (&said.place, &said.grid) else {
        return Err(String::new());
    };
    let wish = enrol::Wish {
        connection_point: place.name.clone(),
        outside: false,
        import_w: place.import_w,
        export_w: place.export_w,
        votes: true,
        valid_from: enrol::next_epoch(&grid.charter),
        days: DAYS,
    };
    let meter = keys::read(&written.config.keys.meter.file).map_err(|error| error.to_string())?;
    let request = wish.request(&grid.charter, written.participant, meter.meter_key());
    let bytes = request.map_err(|error| error.to_string())?.to_bytes();
    let file = written.config_file.with_file_name(REQUEST_FILE);
    fs::write(&file, &bytes).map_err(|error| format!("{}: {error}", file.display()))?;
    Ok(bytes)
}
