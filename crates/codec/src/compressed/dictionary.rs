//! What zstd knows of events beforehand.

use std::fmt;

use bytes::Bytes;
use zstd::zstd_safe::get_dict_id_from_dict;

use crate::{Error, ErrorKind};

/// What the payloads of an application have in common, for [`Compressed`](super::Compressed).
///
/// Trained once on some hundreds of payloads, then kept for as long as the events that were written with it.
///
/// ```
/// use annals_codec::Dictionary;
///
/// let samples = (0..1_000).map(|n| format!(r#"{{"owner":"customer-{n}","cents":{}}}"#, n * 7));
/// let dictionary = Dictionary::train(samples.map(String::into_bytes), 4 << 10)?;
/// let again = Dictionary::from_bytes(dictionary.as_bytes().clone())?;
/// assert_eq!(again.id(), dictionary.id());
/// # Ok::<(), annals_codec::Error>(())
/// ```
#[derive(Clone)]
pub struct Dictionary {
    id: DictionaryId,
    bytes: Bytes,
}

/// The name of a [`Dictionary`], which its training made of its content: eight hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DictionaryId(u32);

impl Dictionary {
    /// The largest dictionary, in bytes: 1 MiB. Few gain from more than 100 KiB.
    pub const BYTES_MAX: usize = 1 << 20;

    /// A dictionary of up to so many bytes from sample payloads, as [`EventCodec::encode`] of the inner
    /// codec gives them: some hundreds, together a hundred times as large as the dictionary is to be.
    ///
    /// [`EventCodec::encode`]: crate::EventCodec::encode
    ///
    /// # Errors
    /// [`ErrorKind::BadDictionary`] when the samples are too few or too small, or have nothing in
    /// common.
    pub fn train<S: AsRef<[u8]>>(
        samples: impl IntoIterator<Item = S>,
        bytes_max: usize,
    ) -> Result<Self, Error> {
        let samples: Vec<S> = samples.into_iter().collect();
        let bytes = zstd::dict::from_samples(&samples, bytes_max.min(Self::BYTES_MAX));
        let bytes = bytes.map_err(|_| {
            let message = "samples make no dictionary; take more of them, or less bytes for it";
            Error::new(ErrorKind::BadDictionary, message)
                .with("samples", samples.len())
                .with("bytes at most", bytes_max)
        })?;
        Self::from_bytes(bytes)
    }

    /// The dictionary that was kept as these bytes.
    ///
    /// # Errors
    /// [`ErrorKind::BadDictionary`] for bytes that are no trained dictionary, or over
    /// [`BYTES_MAX`](Self::BYTES_MAX).
    pub fn from_bytes(bytes: impl Into<Bytes>) -> Result<Self, Error> {
        let bytes = bytes.into();
        let bad =
            |message| Error::new(ErrorKind::BadDictionary, message).with("bytes", bytes.len());
        if bytes.len() > Self::BYTES_MAX {
            return Err(bad("dictionary is over BYTES_MAX; train a smaller one"));
        }
        let id = get_dict_id_from_dict(&bytes);
        let id = id.ok_or_else(|| bad("bytes are no trained dictionary of zstd"))?;
        // zstd looks inside when it is used for the first time.
        let tried = zstd::bulk::Compressor::with_dictionary(super::COMPRESSED_LEVEL, &bytes)
            .and_then(|mut compressor| compressor.compress(b"event"));
        tried.map_err(|_| bad("dictionary is damaged; take the bytes that were trained"))?;
        Ok(Self {
            id: DictionaryId(id.get()),
            bytes,
        })
    }

    /// Its name.
    pub fn id(&self) -> DictionaryId {
        self.id
    }

    /// What to keep.
    pub fn as_bytes(&self) -> &Bytes {
        &self.bytes
    }
}

/// Not its content, which is made of payloads.
impl fmt::Debug for Dictionary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dictionary")
            .field("id", &self.id)
            .field("bytes", &self.bytes.len())
            .finish()
    }
}

impl fmt::Display for DictionaryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}
