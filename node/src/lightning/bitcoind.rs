//! Which chain a bitcoind is on, asked before the library is told to follow it: the library does not
//! ask, and coins of another network would be worth something, or nothing.
//! Not for: anything else that is asked of a bitcoind; the library does that.

use std::io;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::ldk::Credentials;
use crate::config::lightning::BitcoinNetwork;

/// How long it may take to say which chain it is on. One that is starting answers at once that it is.
const ANSWER_TIME: Duration = Duration::from_secs(15);
/// Most bytes of an answer: some hundred are needed, and who answers may be anybody.
const ANSWER_BYTES_MAX: u64 = 64 * 1024;
/// The status of an answer to a stranger.
const UNAUTHORIZED: u16 = 401;

/// Why a bitcoind is not used.
#[derive(Debug, thiserror::Error)]
pub enum BitcoindError {
    /// Nobody listens there.
    #[error(
        "bitcoind cannot be reached at {place}: {source}; start it, or put `lightning.bitcoind_url` \
         right"
    )]
    Unreachable {
        /// Where.
        place: String,
        /// What the operating system says.
        source: io::Error,
    },
    /// It takes too long.
    #[error(
        "bitcoind at {place} has not answered within {} s; see what keeps it busy, and start this \
         node again", ANSWER_TIME.as_secs()
    )]
    Silent {
        /// Where.
        place: String,
    },
    /// It does not know the user.
    #[error(
        "bitcoind at {place} does not take this user and password; put \
         `lightning.bitcoind_cookie_file`, or `lightning.bitcoind_user` and its password file, right"
    )]
    Unauthorized {
        /// Where.
        place: String,
    },
    /// It does not say.
    #[error(
        "bitcoind at {place} says {message:?}; if it is still starting, start this node again in a \
         minute"
    )]
    Refused {
        /// Where.
        place: String,
        /// What it says.
        message: String,
    },
    /// It is something else.
    #[error(
        "what answers at {place} is no bitcoind ({problem}); put `lightning.bitcoind_url` right"
    )]
    Other {
        /// Where.
        place: String,
        /// What is wrong with its answer.
        problem: String,
    },
    /// It is on another network.
    #[error(
        "bitcoind at {place} is on the network {found:?}, and the config says `lightning.network = \
         \"{}\"`; name a bitcoind of that network, and never use one wallet on two", wanted.name()
    )]
    OtherChain {
        /// Where.
        place: String,
        /// What it says that it is on.
        found: String,
        /// What the owner wants.
        wanted: BitcoinNetwork,
    },
}

/// Asks a bitcoind which chain it is on, and refuses another one than the owner wants.
///
/// # Errors
///
/// [`BitcoindError`], saying what to do about it.
pub(crate) async fn check(
    (host, port): (&str, u16),
    credentials: &Credentials,
    wanted: BitcoinNetwork,
) -> Result<(), BitcoindError> {
    let place = || format!("http://{host}:{port}");
    let asked = timeout(ANSWER_TIME, ask((host, port), credentials)).await;
    let answer = asked
        .map_err(|_| BitcoindError::Silent { place: place() })?
        .map_err(|source| BitcoindError::Unreachable { place: place(), source })?;
    let other = |problem: &str| {
        let problem = problem.to_owned();
        BitcoindError::Other { place: place(), problem }
    };
    let (status, body) = parts(&answer).ok_or_else(|| other("it does not speak HTTP"))?;
    if status == UNAUTHORIZED {
        return Err(BitcoindError::Unauthorized { place: place() });
    }
    let answer: Value =
        serde_json::from_slice(body).map_err(|_| other(&format!("HTTP status {status}")))?;
    if let Some(message) = answer["error"]["message"].as_str() {
        return Err(BitcoindError::Refused { place: place(), message: message.to_owned() });
    }
    let found = answer["result"]["chain"].as_str().ok_or_else(|| other("it names no chain"))?;
    if found == name(wanted) {
        return Ok(());
    }
    Err(BitcoindError::OtherChain { place: place(), found: found.to_owned(), wanted })
}

/// What a bitcoind calls a network.
const fn name(network: BitcoinNetwork) -> &'static str {
    match network {
        BitcoinNetwork::Mainnet => "main",
        BitcoinNetwork::Signet => "signet",
        BitcoinNetwork::Regtest => "regtest",
    }
}

async fn ask((host, port): (&str, u16), credentials: &Credentials) -> io::Result<Vec<u8>> {
    let Credentials { user, password } = credentials;
    // Without a version of JSON-RPC every bitcoind answers in the old way.
    let body = json!({ "id": "boltgrid", "method": "getblockchaininfo", "params": [] }).to_string();
    let secret = STANDARD.encode(format!("{user}:{password}"));
    let head = format!(
        "POST / HTTP/1.1\r\nHost: {host}:{port}\r\nAuthorization: Basic {secret}\r\n\
         Connection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let mut stream = TcpStream::connect((host, port)).await?;
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).await?;
    Ok(answer)
}

/// The status and the body of an answer whose connection was closed after it.
fn parts(answer: &[u8]) -> Option<(u16, &[u8])> {
    const END: &[u8] = b"\r\n\r\n";
    let end = answer.windows(END.len()).position(|window| window == END)?;
    let (head, body) = answer.split_at_checked(end)?;
    let head = std::str::from_utf8(head).ok()?;
    let status = head.split_whitespace().nth(1)?.parse().ok()?;
    Some((status, body.get(END.len()..)?))
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// What comes of asking somebody who answers this, or who does not listen.
    async fn checked(answer: Option<&'static str>, wanted: BitcoinNetwork) -> Result<(), String> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let answering = async {
            let Some(answer) = answer else { return drop(listener) };
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = vec![0; 4096];
            let length = stream.read(&mut asked).await.unwrap();
            assert!(asked[..length].starts_with(b"POST / HTTP/1.1\r\n"));
            stream.write_all(answer.as_bytes()).await.unwrap();
        };
        let credentials = Credentials { user: "u".to_owned(), password: "secret".to_owned() };
        let checking = async {
            tokio::task::yield_now().await;
            check(("127.0.0.1", port), &credentials, wanted).await
        };
        let ((), checked) = tokio::join!(answering, checking);
        checked.map_err(|error| error.to_string())
    }

    const MAIN: &str = "HTTP/1.1 200 OK\r\n\r\n{\"result\":{\"chain\":\"main\"},\"error\":null}";
    const REGTEST: &str =
        "HTTP/1.1 200 OK\r\n\r\n{\"result\":{\"chain\":\"regtest\"},\"error\":null}";
    const STARTING: &str = "HTTP/1.1 500 Internal Server Error\r\n\r\n{\"result\":null,\
                            \"error\":{\"code\":-28,\"message\":\"Loading block index…\"}}";

    #[tokio::test]
    async fn a_bitcoind_of_the_network_that_is_meant_is_taken_and_no_other() {
        assert_eq!(checked(Some(REGTEST), BitcoinNetwork::Regtest).await, Ok(()));
        assert_eq!(checked(Some(MAIN), BitcoinNetwork::Mainnet).await, Ok(()));
        let refused = checked(Some(MAIN), BitcoinNetwork::Regtest).await.unwrap_err();
        assert!(refused.contains("\"main\"") && refused.contains("\"regtest\""), "{refused}");
        assert!(checked(Some(REGTEST), BitcoinNetwork::Signet).await.is_err());
    }

    #[tokio::test]
    async fn whatever_else_answers_or_does_not_is_named_with_what_to_do() {
        let cases = [
            (None, "start it"),
            (Some("HTTP/1.1 401 Unauthorized\r\n\r\n"), "bitcoind_cookie_file"),
            (Some("HTTP/1.1 404 Not Found\r\n\r\n<html>"), "no bitcoind"),
            (Some("SSH-2.0-OpenSSH\r\n"), "no bitcoind"),
            (Some("HTTP/1.1 200 OK\r\n\r\n{\"result\":{}}"), "names no chain"),
            (Some(STARTING), "still starting"),
        ];
        for (answer, expected) in cases {
            let refused = checked(answer, BitcoinNetwork::Regtest).await.unwrap_err();
            assert!(refused.contains(expected), "{refused}");
            assert!(!refused.contains("secret"), "{refused}");
        }
    }
}
