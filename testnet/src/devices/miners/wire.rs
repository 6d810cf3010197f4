//! How machines are asked over TCP: JSON that ends by itself, or JSON behind its length.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::{Fault, Rig};

/// Most connections to one port of a machine.
const CONNECTIONS_MAX: usize = 32;
/// The longest question, in bytes.
const QUESTION_MAX: usize = 65_536;
/// How long a connection may be quiet.
const QUIET_MAX: Duration = Duration::from_secs(10);
/// How long a listener rests after the system refused it a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How questions and answers are told apart from what follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// One question a connection; the answer ends with a zero byte.
    Json,
    /// Each behind its length as four bytes, the least first; any number of them.
    Framed,
}

/// Serves one port until it is stopped.
pub(super) async fn serve(
    listener: TcpListener,
    rig: Rig,
    stop: CancellationToken,
    form: Form,
    answer: impl Fn(&Rig, &Value) -> Value + Send + Sync + 'static,
) {
    let (places, answer) = (Arc::new(Semaphore::new(CONNECTIONS_MAX)), Arc::new(answer));
    let mut talks = JoinSet::new();
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        while talks.try_join_next().is_some() {}
        let Ok((stream, _)) = accepted else {
            sleep(ACCEPT_PAUSE).await;
            continue;
        };
        if rig.fault() == Some(Fault::Unreachable) {
            continue;
        }
        // Beyond that it hangs up.
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
        let (rig, answer) = (rig.clone(), Arc::clone(&answer));
        talks.spawn(async move {
            if let Err(error) = talk(stream, &rig, form, &*answer).await {
                debug!(%error, "talk with a machine ended early");
            }
            drop(place);
        });
    }
}

async fn talk(
    mut stream: TcpStream,
    rig: &Rig,
    form: Form,
    answer: &(impl Fn(&Rig, &Value) -> Value + Sync),
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    loop {
        let Ok(asked) = timeout(QUIET_MAX, ask(&mut stream, form)).await else { return Ok(()) };
        let Some(asked) = asked? else { return Ok(()) };
        // While it boots it is not there.
        if !rig.truth().answers || rig.fault() == Some(Fault::Unreachable) {
            return Ok(());
        }
        let text = answer(rig, &asked).to_string().into_bytes();
        let mut bytes = match form {
            Form::Json => [text, vec![0]].concat(),
            Form::Framed => {
                let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
                [length.to_le_bytes().to_vec(), text].concat()
            }
        };
        match rig.fault() {
            Some(Fault::Unreachable) => return Ok(()),
            Some(Fault::Silent) => {
                sleep(QUIET_MAX).await;
                return Ok(());
            }
            Some(Fault::HalfAnswer) => bytes.truncate(bytes.len() / 2),
            Some(Fault::Garbage) => bytes = b"\x06\x00\x00\x00\xff{]\"\xc3\n".to_vec(),
            None
            | Some(
                Fault::Refuses
                | Fault::NoEffect
                | Fault::DeniesWhatItDoes
                | Fault::Reboots
                | Fault::Overheats,
            ) => {}
        }
        stream.write_all(&bytes).await?;
        if form == Form::Json || rig.fault() == Some(Fault::HalfAnswer) {
            return stream.shutdown().await;
        }
    }
}

/// The next question; `None` where there is none, or it makes no sense.
async fn ask(stream: &mut TcpStream, form: Form) -> io::Result<Option<Value>> {
    match form {
        Form::Framed => {
            let mut length = [0; 4];
            if let Err(error) = stream.read_exact(&mut length).await {
                let ended = error.kind() == io::ErrorKind::UnexpectedEof;
                return if ended { Ok(None) } else { Err(error) };
            }
            let length = usize::try_from(u32::from_le_bytes(length)).unwrap_or(usize::MAX);
            if length > QUESTION_MAX {
                return Ok(None);
            }
            let mut text = vec![0; length];
            stream.read_exact(&mut text).await?;
            Ok(serde_json::from_slice(&text).ok())
        }
        Form::Json => {
            let mut text = Vec::new();
            let mut buffer = [0; 4_096];
            loop {
                let count = stream.read(&mut buffer).await?;
                text.extend_from_slice(buffer.get(..count).unwrap_or_default());
                // Some end it with a line, some with nothing.
                if let Ok(asked) = serde_json::from_slice(&text) {
                    return Ok(Some(asked));
                }
                if count == 0 || text.len() > QUESTION_MAX {
                    return Ok(None);
                }
            }
        }
    }
}
