//! Notes that are added to the log of a store that nobody has open.

use annals_core::Error;
use annals_log::{Kind, Log};

use super::error::from_log;
use super::open::LogStoreBuilder;
use super::prepared::RECORD_BYTES;

/// How many notes are recorded in one frame, at most.
const NOTES_MAX: usize = 500;

impl LogStoreBuilder {
    /// Records these notes at the end of the log, durable when this returns; without one the log is not opened.
    pub(crate) fn record_notes(&self, notes: &[Vec<u8>]) -> Result<(), Error> {
        if notes.is_empty() {
            return Ok(());
        }
        let log = Log::open(&self.parts, &self.log_directory(), self.log_settings());
        let (mut log, _) = log.map_err(from_log)?;
        let context = log.segment().context;
        for some in notes.chunks(NOTES_MAX) {
            let bytes = some.iter().map(|note| note.len() + RECORD_BYTES).sum();
            log.reserve(bytes, || context).map_err(from_log)?;
            let mut frame = log.frame();
            for note in some {
                frame.push(Kind::Note, |out| out.extend_from_slice(note));
            }
            frame.write().map_err(from_log)?;
        }
        log.sync().map_err(from_log)?;
        log.close().map_err(from_log)
    }
}
