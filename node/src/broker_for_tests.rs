//! An MQTT broker of a few lines, which tells a test what it was told, and misbehaves where that is
//! wanted.
//!
//! Not for: passing messages on.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;

/// First bytes of packets.
const CONNECT: u8 = 0x10;
const PUBLISH: u8 = 0x30;
const SUBSCRIBE: u8 = 0x80;
/// Flags of CONNECT.
const HAS_WILL: u8 = 0x04;
const WILL_RETAINED: u8 = 0x20;
const HAS_LOGIN: u8 = 0xC0;
/// What CONNACK says of a client that may not connect.
const NOT_AUTHORISED: u8 = 5;

/// What a broker is told.
#[derive(Debug, PartialEq)]
pub(crate) enum Heard {
    /// A connection.
    Connected {
        /// Its last will: topic, message and whether it is retained.
        will: Option<(String, String, bool)>,
        /// User and password.
        login: Option<(String, String)>,
    },
    /// A message: topic, message and whether it is retained.
    Published(String, String, bool),
}

/// How a broker behaves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manners {
    /// After so many packets it hangs up.
    pub(crate) lives: usize,
    /// It says that Home Assistant was started once it has heard so many messages.
    pub(crate) started_after: Option<usize>,
    /// Whether it lets anybody in.
    pub(crate) lets_in: bool,
    /// Whether it says that it has what was published.
    pub(crate) acknowledges: bool,
}

impl Manners {
    /// As it should.
    pub(crate) const GOOD: Self =
        Self { lives: usize::MAX, started_after: None, lets_in: true, acknowledges: true };
}

/// Serves one connection, and says what it was told, until the connection ends.
pub(crate) async fn broker(listener: &TcpListener, heard: &mpsc::Sender<Heard>, manners: Manners) {
    let (mut stream, _) = listener.accept().await.unwrap();
    // Whoever is connected may leave at any time.
    drop(talk(&mut stream, heard, manners).await);
}

/// The same over TLS. Whoever does not take its certificate is not heard.
pub(crate) async fn tls_broker(
    listener: &TcpListener,
    tls: &TlsAcceptor,
    heard: &mpsc::Sender<Heard>,
) {
    let (stream, _) = listener.accept().await.unwrap();
    let Ok(mut stream) = tls.accept(stream).await else { return };
    // Whoever is connected may leave at any time.
    drop(talk(&mut stream, heard, Manners::GOOD).await);
}

async fn talk(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    heard: &mpsc::Sender<Heard>,
    manners: Manners,
) -> io::Result<()> {
    let mut published = 0;
    for _ in 0..manners.lives {
        let (kind, body) = packet(stream).await?;
        match kind & 0xF0 {
            CONNECT => {
                heard.send(connected(&body)).await.unwrap();
                let code = if manners.lets_in { 0 } else { NOT_AUTHORISED };
                stream.write_all(&[0x20, 2, 0, code]).await?;
            }
            SUBSCRIBE => stream.write_all(&[0x90, 3, body[0], body[1], 1]).await?,
            PUBLISH => {
                let mut rest = body.as_slice();
                let topic = text(&mut rest);
                if kind & 0x06 != 0 {
                    if manners.acknowledges {
                        stream.write_all(&[0x40, 2, rest[0], rest[1]]).await?;
                    }
                    rest = &rest[2..];
                }
                let message = String::from_utf8(rest.to_vec()).unwrap();
                heard.send(Heard::Published(topic, message, kind & 1 != 0)).await.unwrap();
                published += 1;
                if manners.started_after == Some(published) {
                    let topic = b"\x00\x14homeassistant/status";
                    let length = u8::try_from(topic.len() + 6).unwrap();
                    let said = [&[PUBLISH, length], topic.as_slice(), b"online"].concat();
                    stream.write_all(&said).await?;
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// What CONNECT says.
fn connected(body: &[u8]) -> Heard {
    // Protocol name, level, flags and keep-alive are ten bytes.
    let (flags, mut rest) = (body[7], &body[10..]);
    let _client = text(&mut rest);
    let will = (flags & HAS_WILL != 0).then(|| {
        let (topic, message) = (text(&mut rest), text(&mut rest));
        (topic, message, flags & WILL_RETAINED != 0)
    });
    let login = (flags & HAS_LOGIN != 0).then(|| (text(&mut rest), text(&mut rest)));
    Heard::Connected { will, login }
}

async fn packet(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<(u8, Vec<u8>)> {
    let kind = stream.read_u8().await?;
    let (mut length, mut shift) = (0, 0);
    loop {
        let byte = stream.read_u8().await?;
        length |= usize::from(byte & 0x7F) << shift;
        shift += 7;
        if byte < 0x80 {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    Ok((kind, body))
}

/// The text at the beginning of `rest`, behind its length.
fn text(rest: &mut &[u8]) -> String {
    let length = usize::from(u16::from_be_bytes([rest[0], rest[1]]));
    let (text, behind) = rest[2..].split_at(length);
    *rest = behind;
    String::from_utf8(text.to_vec()).unwrap()
}
