use std::fmt;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use serde_json::ser::{CharEscape, CompactFormatter, Formatter};

use super::{AuditRecord, AuditSink};
use crate::writing::is_unseen;

/// Writes each record as one line of JSON, and flushes after each batch, on a thread where it may block.
///
/// A record is one line whatever is in it: everything that a reader could take for the end of a line is escaped. After an error
/// it goes on at the very byte, so that a line that was torn is made whole.
///
/// ```
/// use tower_resource_server::{AuditLog, JsonLines};
///
/// let log = AuditLog::new(JsonLines::new(std::io::stdout()));
/// ```
///
/// Rotating files is not its business: write to standard output, or to a writer that rotates. A writer that blocks for ever holds
/// up the log and one thread, and no request.
pub struct JsonLines<W>(Arc<Mutex<State<W>>>);

struct State<W> {
    writer: W,
    lines: Vec<u8>,
    /// How much of `lines` the writer has taken.
    taken: usize,
    /// Whether the lines are not written and flushed yet.
    owed: bool,
}

/// The lines could not be written.
#[derive(Debug, thiserror::Error)]
#[error("the lines of the audit could not be written")]
#[non_exhaustive]
pub struct LinesNotWritten(#[source] io::Error);

impl<W: Write + Send + 'static> JsonLines<W> {
    /// Writes there. It is given whole batches, so it needs no buffer.
    pub fn new(writer: W) -> Self {
        Self(Arc::new(Mutex::new(State {
            writer,
            lines: Vec::new(),
            taken: 0,
            owed: false,
        })))
    }
}

impl<W: Write + Send + 'static> AuditSink for JsonLines<W> {
    type Error = LinesNotWritten;

    async fn write(&mut self, records: &[AuditRecord]) -> Result<(), LinesNotWritten> {
        let records = records.to_vec();
        let state = Arc::clone(&self.0);
        let work = move || {
            let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
            state.write(&records)
        };
        let written = tokio::task::spawn_blocking(work).await;
        written
            .unwrap_or_else(|error| Err(io::Error::other(error)))
            .map_err(LinesNotWritten)
    }
}

impl<W: Write> State<W> {
    fn write(&mut self, records: &[AuditRecord]) -> io::Result<()> {
        if !self.owed {
            self.taken = 0;
            self.lines.clear();
            for record in records {
                record.serialize(&mut serde_json::Serializer::with_formatter(
                    &mut self.lines,
                    OneLine,
                ))?;
                self.lines.push(b'\n');
            }
            self.owed = true;
        }
        while let Some(rest) = self.lines.get(self.taken..).filter(|rest| !rest.is_empty()) {
            match self.writer.write(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(taken) => self.taken += taken,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.writer.flush()?;
        self.owed = false;
        Ok(())
    }
}

/// Escapes more than JSON must: what some readers take for the end of a line, and what turns the order of letters.
struct OneLine;

impl Formatter for OneLine {
    fn write_string_fragment<W: Write + ?Sized>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut rest = fragment;
        while let Some((at, letter)) = rest.char_indices().find(|(_, letter)| is_unseen(*letter)) {
            let (before, after) = rest.split_at(at);
            writer.write_all(before.as_bytes())?;
            write!(writer, "\\u{:04x}", u32::from(letter))?;
            rest = after.get(letter.len_utf8()..).unwrap_or_default();
        }
        writer.write_all(rest.as_bytes())
    }

    fn write_char_escape<W: Write + ?Sized>(&mut self, writer: &mut W, escape: CharEscape) -> io::Result<()> {
        CompactFormatter.write_char_escape(writer, escape)
    }
}

impl<W> fmt::Debug for JsonLines<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JsonLines")
    }
}
