//! The only way from one purse to another: a proxy that can be cut, and that knows where the other
//! listens now. Not for: lost or late bytes; Lightning speaks over TCP.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Connections at once; a purse has one to each other.
const CONNECTIONS_MAX: usize = 64;

/// Where the other is, and whether anything gets there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Way {
    port: Option<u16>,
    is_cut: bool,
}

/// A proxy. Dropping it cuts it for good.
#[derive(Debug)]
pub(super) struct Link {
    address: SocketAddr,
    way: watch::Sender<Way>,
    _task: JoinSet<()>,
}

impl Link {
    /// A proxy to a purse that is not there yet.
    pub(super) async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (way, watched) = watch::channel(Way::default());
        let mut task = JoinSet::new();
        task.spawn(serve(listener, watched));
        Ok(Self { address, way, _task: task })
    }

    /// Where it is dialled.
    pub(super) fn address(&self) -> String {
        self.address.to_string()
    }

    /// Says where the purse behind it listens now.
    pub(super) fn lead_to(&self, port: u16) {
        self.way.send_modify(|way| way.port = Some(port));
    }

    /// Cuts it, and all connections through it; or mends it.
    pub(super) fn cut(&self, is_cut: bool) {
        self.way.send_modify(|way| way.is_cut = is_cut);
    }
}

async fn serve(listener: TcpListener, way: watch::Receiver<Way>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Some(_) = connections.join_next() => {}
            accepted = listener.accept(), if connections.len() < CONNECTIONS_MAX => {
                // Who dials too often is told so by silence.
                let Ok((stream, _)) = accepted else { continue };
                connections.spawn(pass(stream, way.clone()));
            }
        }
    }
}

async fn pass(mut from: TcpStream, mut way: watch::Receiver<Way>) {
    let now = *way.borrow_and_update();
    let Some(port) = now.port.filter(|_| !now.is_cut) else { return };
    let Ok(mut to) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await else { return };
    tokio::select! {
        // However a connection ends, both sides see it end.
        _ = copy_bidirectional(&mut from, &mut to) => {}
        _ = way.wait_for(|later| later.is_cut || later.port != now.port) => {}
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn a_cut_ends_what_goes_through_and_lets_nothing_new_through() {
        let behind = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let link = Link::start().await.unwrap();
        link.lead_to(behind.local_addr().unwrap().port());
        let mut dialler = TcpStream::connect(link.address()).await.unwrap();
        let (mut other, _) = behind.accept().await.unwrap();
        dialler.write_all(b"ab").await.unwrap();
        let mut got = [0; 2];
        other.read_exact(&mut got).await.unwrap();
        assert_eq!(&got, b"ab");
        link.cut(true);
        assert_eq!(other.read(&mut got).await.unwrap_or(0), 0);
        let mut dialler = TcpStream::connect(link.address()).await.unwrap();
        assert_eq!(dialler.read(&mut got).await.unwrap_or(0), 0);
        link.cut(false);
        let mut dialler = TcpStream::connect(link.address()).await.unwrap();
        let (mut other, _) = behind.accept().await.unwrap();
        other.write_all(b"cd").await.unwrap();
        dialler.read_exact(&mut got).await.unwrap();
        assert_eq!(&got, b"cd");
    }
}
