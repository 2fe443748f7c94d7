//! What a command prints, when nobody may be there to read it: `tailrace check | head -3`.

use std::io::{self, Write as _};

/// Prints to standard output. Whoever has stopped to read has what they want.
///
/// # Errors
/// It cannot be written, for another reason.
pub(super) fn print(text: impl AsRef<[u8]>) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_ref()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}
