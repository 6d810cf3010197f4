//! How direct requests travel: frames of limited length on `/boltgrid/1/<grid id>/direct`.
//!
//! Not for: what they say ([`boltgrid_protocol::direct`]), or who is served, which is `requests`.

use std::io;

use boltgrid_protocol::direct::{REQUEST_MAX, RESPONSE_MAX};
use boltgrid_protocol::id::GridId;
use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use libp2p::StreamProtocol;
use libp2p::request_response::Codec;

/// The protocol's name on a grid.
///
/// # Panics
///
/// Never: the name starts with a slash.
#[must_use]
pub fn protocol(grid: &GridId) -> StreamProtocol {
    StreamProtocol::try_from_owned(format!("/boltgrid/1/{grid}/direct"))
        .expect("it starts with a slash")
}

/// Moves frames of limited length. What they say is read by whoever counts the senders' faults, as
/// libp2p does not report an error of reading together with its sender.
#[derive(Clone, Copy, Debug, Default)]
pub struct Frames;

impl Codec for Frames {
    type Protocol = StreamProtocol;
    type Request = Vec<u8>;
    type Response = Vec<u8>;

    async fn read_request<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Vec<u8>>
    where
        T: AsyncRead + Unpin + Send,
    {
        read(io, REQUEST_MAX).await
    }

    async fn read_response<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Vec<u8>>
    where
        T: AsyncRead + Unpin + Send,
    {
        read(io, RESPONSE_MAX).await
    }

    async fn write_request<T>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        request: Vec<u8>,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        io.write_all(&request).await
    }

    async fn write_response<T>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        response: Vec<u8>,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        io.write_all(&response).await
    }
}

/// Reads to the end of the stream, but no more than one byte beyond `limit`: enough to see that it
/// is too long.
async fn read<T>(io: &mut T, limit: usize) -> io::Result<Vec<u8>>
where
    T: AsyncRead + Unpin + Send,
{
    let mut bytes = Vec::new();
    let one_more = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    io.take(one_more).read_to_end(&mut bytes).await?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use boltgrid_protocol::codec::CodecRejected;
    use boltgrid_protocol::direct::Request;
    use futures::executor::block_on;

    #[test]
    fn endless_bytes_are_read_only_up_to_the_limit_and_then_seen_to_be_too_long() {
        let name = protocol(&GridId::default());
        let mut endless = futures::io::repeat(b'B');
        let request = block_on(Frames.read_request(&name, &mut endless)).unwrap();
        let limit = REQUEST_MAX;
        let oversize = CodecRejected::Oversize { len: limit + 1, limit };
        assert_eq!(Request::from_bytes(&request), Err(oversize));
        let response = block_on(Frames.read_response(&name, &mut endless)).unwrap();
        assert_eq!(response.len(), RESPONSE_MAX + 1);
    }
}
