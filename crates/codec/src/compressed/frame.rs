//! What is believed of a frame of zstd, and what not.

use zstd::zstd_safe::{find_frame_compressed_size, get_frame_content_size};

use super::pool::Dialect;
use crate::{Error, ErrorKind};

/// The payload in a frame, if it has up to so many bytes.
pub(super) fn decompress(
    dialect: &Dialect,
    frame: &[u8],
    bytes_max: usize,
) -> Result<Vec<u8>, Error> {
    let bytes = get_frame_content_size(frame).ok().flatten();
    let Some(bytes) = bytes.and_then(|bytes| usize::try_from(bytes).ok()) else {
        return Err(damaged("frame does not tell its size"));
    };
    if bytes > bytes_max {
        let message =
            "payload would become too large; raise the limits of Compressed if it is trusted";
        return Err(Error::new(ErrorKind::TooLarge, message)
            .with("compressed bytes", frame.len())
            .with("bytes", bytes)
            .with("bytes at most", bytes_max));
    }
    match find_frame_compressed_size(frame) {
        Ok(end) if end == frame.len() => {}
        Ok(end) => {
            let message = "more bytes follow the event; the payload is not one frame of zstd";
            return Err(Error::new(ErrorKind::TrailingBytes, message).with("byte", end));
        }
        Err(_) => return Err(damaged("frame is cut short")),
    }
    let payload = dialect.decompress(frame, bytes);
    payload
        .filter(|payload| payload.len() == bytes)
        .ok_or_else(|| damaged("frame does not decompress"))
}

fn damaged(reason: &'static str) -> Error {
    let message = "compressed payload is damaged; repair it";
    Error::new(ErrorKind::BadBytes, message).with("reason", reason)
}
