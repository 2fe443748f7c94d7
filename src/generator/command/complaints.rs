//! What a program writes to standard error: read to its end whatever it is, so that the program
//! never blocks on it, and logged at a bounded rate.

use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::process::ChildStderr;
use tokio::time::Instant;

/// Lines that are logged in each second; the rest is counted.
const LINES_PER_SECOND: u32 = 20;

/// The longest line that is logged, in bytes.
const MAX_LINE_BYTES: usize = 2048;

const SECOND: Duration = Duration::from_secs(1);

/// The standard error of one program.
pub(super) struct Complaints {
    pipe: ChildStderr,
    model: String,
    line: Vec<u8>,
    /// Since when `logged` counts.
    second: Instant,
    logged: u32,
    suppressed: u64,
}

impl Complaints {
    pub(super) fn new(pipe: ChildStderr, model: String) -> Self {
        Self {
            pipe,
            model,
            line: Vec::new(),
            second: Instant::now(),
            logged: 0,
            suppressed: 0,
        }
    }

    /// Reads and logs the next piece; `false` at the end.
    pub(super) async fn read(&mut self) -> bool {
        let mut piece = [0; 4096];
        let read = match self.pipe.read(&mut piece).await {
            Ok(0) | Err(_) => return false,
            Ok(read) => read,
        };
        for part in piece[..read].split_inclusive(|byte| *byte == b'\n') {
            let room = MAX_LINE_BYTES - self.line.len().min(MAX_LINE_BYTES);
            self.line.extend_from_slice(&part[..part.len().min(room)]);
            if part.ends_with(b"\n") {
                self.log();
            }
        }
        true
    }

    fn log(&mut self) {
        let now = Instant::now();
        if now - self.second >= SECOND {
            self.tell_suppressed();
            self.second = now;
            self.logged = 0;
        }
        if self.logged < LINES_PER_SECOND {
            let line = String::from_utf8_lossy(&self.line);
            tracing::warn!(model = %self.model, stderr = %line.trim_end(), "A generator's program wrote to standard error");
            self.logged += 1;
        } else {
            self.suppressed += 1;
        }
        self.line.clear();
    }

    fn tell_suppressed(&mut self) {
        let lines = std::mem::take(&mut self.suppressed);
        if lines > 0 {
            tracing::warn!(model = %self.model, lines, "A generator's program wrote more to standard error than is logged");
        }
    }
}

impl Drop for Complaints {
    fn drop(&mut self) {
        if !self.line.is_empty() {
            self.log();
        }
        self.tell_suppressed();
    }
}
