//! A broker of a few lines: it takes every client, says that it subscribed, and then says what a test
//! wants.

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::{Duration, timeout};

/// How long a connection stays open after all is said.
const LINGER: Duration = Duration::from_millis(200);
/// CONNACK: taken, no session.
const CONNACK: [u8; 4] = [0x20, 2, 0, 0];

pub(crate) struct Broker {
    pub(crate) address: String,
    _running: JoinSet<()>,
}

impl Broker {
    /// A broker that says `say(n)` to its client number `n` once it has subscribed, and then ends the
    /// connection; at once where there is nothing to say.
    pub(crate) async fn start(say: impl Fn(usize) -> Option<Vec<u8>> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let mut running = JoinSet::new();
        running.spawn(async move {
            for number in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                // Whoever listens may be gone.
                drop(serve(stream, say(number)).await);
            }
        });
        Self { address, _running: running }
    }
}

/// Serves one client, as [`Broker::start`] says.
pub(crate) async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    say: Option<Vec<u8>>,
) -> std::io::Result<()> {
    packet(&mut stream).await?;
    stream.write_all(&CONNACK).await?;
    let subscribe = packet(&mut stream).await?;
    let Some(say) = say else { return Ok(()) };
    // SUBACK: the number of the request, and that its one topic is taken.
    stream.write_all(&[0x90, 3, subscribe[0], subscribe[1], 0]).await?;
    stream.write_all(&say).await?;
    let mut rest = Vec::new();
    drop(timeout(LINGER, stream.read_to_end(&mut rest)).await);
    Ok(())
}

/// A packet without its first byte and length; none here is longer than 127 bytes.
async fn packet(stream: &mut (impl AsyncRead + Unpin)) -> std::io::Result<Vec<u8>> {
    stream.read_u8().await?;
    let length = stream.read_u8().await?;
    let mut body = vec![0; length.into()];
    stream.read_exact(&mut body).await?;
    Ok(body)
}

/// A PUBLISH.
pub(crate) fn message(topic: &str, payload: &[u8], retain: bool) -> Vec<u8> {
    let length = u16::try_from(topic.len()).unwrap().to_be_bytes();
    let body = [&length, topic.as_bytes(), payload].concat();
    let mut bytes = vec![0x30 | u8::from(retain)];
    let mut rest = body.len();
    loop {
        let more = rest >= 128;
        bytes.push(u8::try_from(rest % 128).unwrap() | if more { 0x80 } else { 0 });
        rest /= 128;
        if !more {
            break;
        }
    }
    bytes.extend(body);
    bytes
}
