//! A WebSocket into a node (RFC 6455), as much as tests need of it: text frames, and pings.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::Value;

const FIN: u8 = 0x80;
const TEXT: u8 = 1;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// An open WebSocket.
pub(crate) struct WebSocket {
    stream: TcpStream,
    patience: Duration,
}

impl WebSocket {
    /// Opens one at a node's address for whoever shows `token`; nothing is waited for longer than `patience`.
    pub(crate) fn open(address: &str, token: &str, patience: Duration) -> Self {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(patience)).unwrap();
        write!(
            stream,
            "GET /rpc HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Authorization: Bearer {token}\r\n\r\n"
        )
        .unwrap();
        let (mut head, mut byte) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte).unwrap();
            head.extend(byte);
        }
        assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&head));
        Self { stream, patience }
    }

    /// Sends a value.
    pub(crate) fn send(&mut self, value: &Value) {
        self.frame(TEXT, value.to_string().as_bytes());
    }

    /// The next value that comes; none once the node has closed the WebSocket.
    pub(crate) fn next(&mut self) -> Option<Value> {
        let began = Instant::now();
        loop {
            // Pings come all the same.
            assert!(began.elapsed() < self.patience, "nothing was told");
            let mut head = [0; 2];
            self.stream.read_exact(&mut head).unwrap();
            let mut size = u64::from(head[1]);
            if size >= 126 {
                let mut bytes = [0; 8];
                let from = if size == 126 { 6 } else { 0 };
                self.stream.read_exact(&mut bytes[from..]).unwrap();
                size = u64::from_be_bytes(bytes);
            }
            let mut payload = vec![0; usize::try_from(size).unwrap()];
            self.stream.read_exact(&mut payload).unwrap();
            match head[0] & !FIN {
                TEXT => return Some(serde_json::from_slice(&payload).unwrap()),
                PING => self.frame(PONG, &payload),
                CLOSE => return None,
                other => panic!("the node sends a frame of kind {other}"),
            }
        }
    }

    /// Sends a frame, masked by nothing, as nobody is between the two.
    fn frame(&mut self, kind: u8, payload: &[u8]) {
        let mut frame = vec![FIN | kind];
        match u16::try_from(payload.len()).unwrap() {
            size @ 0..126 => frame.push(0x80 | u8::try_from(size).unwrap()),
            size => {
                frame.push(0x80 | 126);
                frame.extend(size.to_be_bytes());
            }
        }
        frame.extend([0; 4]);
        frame.extend(payload);
        self.stream.write_all(&frame).unwrap();
    }
}
