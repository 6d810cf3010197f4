//! Asks a bitcoind, or a chain that speaks like one, over its JSON-RPC.
//!
//! One connection a call: the testnet asks rarely. Not for: HTTPS, batches, REST.

use std::io;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bitcoin::consensus::encode::{deserialize_hex, serialize_hex};
use bitcoin::{Address, Block, BlockHash, Transaction, Txid};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::access::Access;

/// How long an answer may take.
const ANSWER_TIME: Duration = Duration::from_secs(30);
/// The largest answer: a full block in hexadecimal, and some more.
const ANSWER_BYTES_MAX: u64 = 16_000_000;

/// Asks one bitcoind.
#[derive(Clone, Debug)]
pub struct Client {
    access: Access,
}

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// It cannot be reached.
    #[error("bitcoind at {place} cannot be asked: {source}")]
    Io {
        /// Where.
        place: String,
        /// What the operating system says.
        source: io::Error,
    },
    /// It takes too long.
    #[error("bitcoind does not answer {method} in time")]
    Time {
        /// What it was asked.
        method: &'static str,
    },
    /// It does not know the user.
    #[error("bitcoind does not take this user and password")]
    Unauthorized,
    /// What it answers is not understood.
    #[error("bitcoind answers {method} with something else: {problem}")]
    Answer {
        /// What it was asked.
        method: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// It says no.
    #[error("bitcoind refuses {method}: {message} ({code})")]
    Refused {
        /// What it was asked.
        method: &'static str,
        /// Its number for the reason.
        code: i64,
        /// The reason.
        message: String,
    },
}

impl ClientError {
    /// The number of the reason, where it says no.
    #[must_use]
    pub const fn code(&self) -> Option<i64> {
        match self {
            Self::Refused { code, .. } => Some(*code),
            Self::Io { .. } | Self::Time { .. } | Self::Unauthorized | Self::Answer { .. } => None,
        }
    }
}

impl Client {
    /// Asks there.
    #[must_use]
    pub const fn new(access: Access) -> Self {
        Self { access }
    }

    /// Where it asks.
    #[must_use]
    pub const fn access(&self) -> &Access {
        &self.access
    }

    /// Calls a method.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn call(&self, method: &'static str, params: Value) -> Result<Value, ClientError> {
        let body = json!({ "jsonrpc": "1.0", "id": method, "method": method, "params": params });
        let answered = timeout(ANSWER_TIME, self.post(&body.to_string())).await;
        let bytes = answered.map_err(|_| ClientError::Time { method })?;
        let place = || format!("{}:{}", self.access.host, self.access.port);
        let bytes = bytes.map_err(|source| ClientError::Io { place: place(), source })?;
        let wrong = |problem: String| ClientError::Answer { method, problem };
        let (status, body) = parts(&bytes).ok_or_else(|| wrong("no HTTP".to_owned()))?;
        if status == 401 {
            return Err(ClientError::Unauthorized);
        }
        let mut answer: Value = serde_json::from_slice(body)
            .map_err(|error| wrong(format!("status {status}, {error}")))?;
        let error = &answer["error"];
        if !error.is_null() {
            let code = error["code"].as_i64().unwrap_or(0);
            let message = error["message"].as_str().unwrap_or_default().to_owned();
            return Err(ClientError::Refused { method, code, message });
        }
        Ok(answer["result"].take())
    }

    async fn post(&self, body: &str) -> io::Result<Vec<u8>> {
        let Access { host, port, user, password } = &self.access;
        let mut stream = TcpStream::connect((host.as_str(), *port)).await?;
        let secret = STANDARD.encode(format!("{user}:{password}"));
        let head = format!(
            "POST / HTTP/1.1\r\nHost: {host}:{port}\r\nAuthorization: Basic {secret}\r\n\
             Connection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(body.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).await?;
        Ok(answer)
    }

    async fn text(&self, method: &'static str, params: Value) -> Result<String, ClientError> {
        let value = self.call(method, params).await?;
        let problem = || ClientError::Answer { method, problem: "no text".to_owned() };
        value.as_str().map(str::to_owned).ok_or_else(problem)
    }

    /// The height of the chain.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn height(&self) -> Result<u32, ClientError> {
        let method = "getblockcount";
        let value = self.call(method, json!([])).await?;
        let height = value.as_u64().and_then(|height| u32::try_from(height).ok());
        height.ok_or_else(|| ClientError::Answer { method, problem: "no height".to_owned() })
    }

    /// The hash of the block at a height.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn hash_at(&self, height: u32) -> Result<BlockHash, ClientError> {
        let method = "getblockhash";
        let hash = self.text(method, json!([height])).await?;
        hash.parse().map_err(|error| wrong(method, &error))
    }

    /// A block.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn block(&self, hash: &BlockHash) -> Result<Block, ClientError> {
        let method = "getblock";
        let hex = self.text(method, json!([hash.to_string(), 0])).await?;
        deserialize_hex(&hex).map_err(|error| wrong(method, &error))
    }

    /// Sends a transaction.
    ///
    /// # Errors
    ///
    /// [`ClientError`], with bitcoind's number where a rule is broken.
    pub async fn send(&self, tx: &Transaction) -> Result<Txid, ClientError> {
        let method = "sendrawtransaction";
        let txid = self.text(method, json!([serialize_hex(tx)])).await?;
        txid.parse().map_err(|error| wrong(method, &error))
    }

    /// Makes so many blocks that pay an address.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn generate(
        &self,
        count: u32,
        address: &Address,
    ) -> Result<Vec<BlockHash>, ClientError> {
        let method = "generatetoaddress";
        let value = self.call(method, json!([count, address.to_string()])).await?;
        let hashes: Option<Vec<BlockHash>> = value
            .as_array()
            .and_then(|hashes| hashes.iter().map(|hash| hash.as_str()?.parse().ok()).collect());
        hashes.ok_or_else(|| ClientError::Answer { method, problem: "no hashes".to_owned() })
    }

    /// Undoes the last blocks and makes one more in their place, so that all who follow the chain
    /// see it change. Returns how high it is then.
    ///
    /// The new blocks pay `address`, which the undone ones must not: where nothing differs, bitcoind
    /// makes the same block again, and refuses it.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn reorganise(&self, depth: u32, address: &Address) -> Result<u32, ClientError> {
        let height = self.height().await?;
        let first = self.hash_at(height.saturating_sub(depth.saturating_sub(1))).await?;
        self.call("invalidateblock", json!([first.to_string()])).await?;
        self.generate(depth.saturating_add(1), address).await?;
        self.height().await
    }
}

fn wrong(method: &'static str, error: &dyn std::error::Error) -> ClientError {
    ClientError::Answer { method, problem: error.to_string() }
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
    use super::*;

    #[test]
    fn an_answer_has_a_status_and_a_body() {
        let answer = b"HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\n{}";
        assert_eq!(parts(answer), Some((404, b"{}".as_slice())));
        assert_eq!(parts(b"HTTP/1.1 200 OK\r\n"), None);
        assert_eq!(parts(b""), None);
    }
}
