//! The entries of an open stream, in pieces, so that a growing stream is never copied.

use crate::stream::Batch;

/// About how many bytes a segment holds.
const SEGMENT_BYTES: usize = 4096;

/// The entries of one stream, numbered from 0.
#[derive(Default)]
pub(in crate::stream_log) struct Segments {
    full: Vec<Batch>,
    /// The segment that grows. It is not one of a list, since every token touches it.
    tail: Batch,
}

impl Segments {
    /// The sequence number after the last entry.
    pub(in crate::stream_log) fn next_seq(&self) -> u64 {
        self.tail.next_seq()
    }

    /// Adds all entries of the batch, whatever their numbers there; answers how many bytes more are
    /// held.
    pub(in crate::stream_log) fn add(&mut self, batch: &Batch) -> usize {
        self.add_from(batch, batch.first_seq())
    }

    /// Adds the entries of the batch whose numbers there are `from` and more.
    pub(in crate::stream_log) fn add_from(&mut self, batch: &Batch, mut from: u64) -> usize {
        let mut bytes = 0;
        while from < batch.next_seq() {
            let before = self.tail.bytes();
            let taken = self.tail.extend_from(batch, from, SEGMENT_BYTES);
            bytes += self.tail.bytes() - before;
            from += taken as u64;
            if taken == 0 {
                // The next entry does not fit beside what is there; an empty segment takes any.
                let next = Batch::starting_at(self.next_seq());
                self.tail.shrink_to_fit();
                self.full.push(std::mem::replace(&mut self.tail, next));
            }
        }
        bytes
    }

    /// Replaces what is in `into` with up to `max_bytes` of entries from `from` on.
    pub(in crate::stream_log) fn copy(&self, from: u64, into: &mut Batch, max_bytes: usize) {
        into.reset(from);
        if from < self.tail.first_seq() {
            let at = self
                .full
                .partition_point(|segment| segment.next_seq() <= from);
            for segment in &self.full[at..] {
                let next = into.next_seq();
                into.extend_from(segment, next, max_bytes);
                if into.next_seq() < segment.next_seq() {
                    return;
                }
            }
        }
        let next = into.next_seq();
        into.extend_from(&self.tail, next, max_bytes);
    }

    /// Gives back memory that no entry uses.
    pub(in crate::stream_log) fn shrink_to_fit(&mut self) {
        self.full.shrink_to_fit();
        self.tail.shrink_to_fit();
    }

    /// Forgets the entries but not how many there were.
    pub(in crate::stream_log) fn clear(&mut self) {
        self.full = Vec::new();
        self.tail = Batch::starting_at(self.next_seq());
    }
}
