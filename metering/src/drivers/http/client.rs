//! One HTTP request after the other, each over a connection of its own. Redirects are not followed, and
//! an answer is bounded while it is read.

use std::io;

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, WWW_AUTHENTICATE};
use hyper::{Request, Response, StatusCode, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::super::bus::Endpoint;
use super::super::tls::Secure;
use super::auth::Auth;
use super::map::{Method, ReadyRequest};

/// The largest answer.
const ANSWER_MAX: usize = 262_144;
/// The largest head of an answer.
const HEAD_MAX: usize = 16_384;
/// Most headers of an answer.
const HEADERS_MAX: usize = 64;

/// Why there is no answer that could be looked at.
#[derive(Debug)]
pub(super) enum Asked {
    /// The way to the device failed.
    Io(io::Error),
    /// The device answered otherwise than it should.
    Garbled(String),
    /// It wants to know who asks.
    Unauthorized(String),
}

/// Asks one device.
#[derive(Debug)]
pub(super) struct Client {
    place: Endpoint,
    secure: Option<Secure>,
    auth: Auth,
}

impl Client {
    pub(super) const fn new(place: Endpoint, secure: Option<Secure>, auth: Auth) -> Self {
        Self { place, secure, auth }
    }

    /// The answer to a request.
    pub(super) async fn ask(&mut self, request: &ReadyRequest) -> Result<String, Asked> {
        let knew = self.ready();
        match self.exchange(request).await? {
            Answer::Text(text) => Ok(text),
            Answer::Refused(header) => {
                self.auth.challenged(header.as_deref()).map_err(Asked::Unauthorized)?;
                // A nonce that was used before may be stale; one that is new is not.
                match self.exchange(request).await? {
                    Answer::Text(text) => Ok(text),
                    Answer::Refused(_) => Err(Asked::Unauthorized(format!(
                        "it does not take the user and password{}",
                        if knew { " any more" } else { "" }
                    ))),
                }
            }
        }
    }

    /// Whether requests carry a proof already.
    const fn ready(&self) -> bool {
        matches!(self.auth, Auth::Digest(_, Some(_)))
    }

    async fn exchange(&mut self, asked: &ReadyRequest) -> Result<Answer, Asked> {
        let request = self.request(asked)?;
        let Endpoint { host, port } = &self.place;
        let stream = TcpStream::connect((host.as_str(), *port)).await.map_err(Asked::Io)?;
        stream.set_nodelay(true).map_err(Asked::Io)?;
        match &self.secure {
            None => talk(stream, request).await,
            Some(secure) => {
                let stream = secure.shake(&self.place, stream).await.map_err(Asked::Io)?;
                talk(stream, request).await
            }
        }
    }

    fn request(&mut self, asked: &ReadyRequest) -> Result<Request<Full<Bytes>>, Asked> {
        let method = match asked.method {
            Method::Get => "GET",
            Method::Post => "POST",
        };
        let mut request = Request::builder()
            .method(method)
            .uri(asked.path.as_str())
            .header(HOST, self.place.to_string())
            .header(ACCEPT, "application/json");
        if let Some(proof) = self.auth.header(method, &asked.path) {
            request = request.header(AUTHORIZATION, proof);
        }
        if asked.body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let body = asked.body.clone().unwrap_or_default();
        let request = request.body(Full::from(body));
        request.map_err(|error| Asked::Garbled(format!("cannot be asked: {error}")))
    }
}

/// Asks over a connection.
async fn talk(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    request: Request<Full<Bytes>>,
) -> Result<Answer, Asked> {
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(HEAD_MAX)
        .max_headers(HEADERS_MAX)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(failed)?;
    let talking = async move {
        let response = sender.send_request(request).await.map_err(failed)?;
        answer(response).await
    };
    // The connection ends once the talk is over; what went wrong with it the talk knows as well.
    let (answer, _) = tokio::join!(talking, connection);
    answer
}

/// What a device answered.
enum Answer {
    Text(String),
    /// It wants a proof: what it says about that.
    Refused(Option<String>),
}

async fn answer(response: Response<Incoming>) -> Result<Answer, Asked> {
    if response.status() == StatusCode::UNAUTHORIZED {
        let header = response.headers().get(WWW_AUTHENTICATE);
        let header = header.and_then(|header| header.to_str().ok()).map(str::to_owned);
        return Ok(Answer::Refused(header));
    }
    if response.status() != StatusCode::OK {
        return Err(Asked::Garbled(format!("HTTP status {}", response.status())));
    }
    let mut body = response.into_body();
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(failed)?.into_data() else { continue };
        if bytes.len() + data.len() > ANSWER_MAX {
            return Err(Asked::Garbled(format!("it is longer than {ANSWER_MAX} bytes")));
        }
        bytes.extend_from_slice(&data);
    }
    let text = String::from_utf8(bytes);
    text.map(Answer::Text).map_err(|_| Asked::Garbled("it is not text".to_owned()))
}

fn failed(error: hyper::Error) -> Asked {
    if error.is_parse() {
        return Asked::Garbled(format!("it is no HTTP: {error}"));
    }
    Asked::Io(io::Error::other(error))
}
