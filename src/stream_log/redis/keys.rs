//! The names of what the log keeps in Redis.
//!
//! All keys of a stream have one hash tag, that of its partition, so that one script may touch them
//! in a cluster too. Whose streams there are, and idempotency keys, are of no partition: they are
//! touched by single commands of their own.

use crate::redis::digest;
use crate::stream::{Owner, StreamId};

/// How many partitions there are. To change it is to lose sight of what is stored.
pub(super) const PARTITIONS: u8 = 16;

/// The names, under one prefix.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    prefix: String,
}

impl Keys {
    pub(super) const fn new(prefix: String) -> Self {
        Self { prefix }
    }

    /// The streams of a partition that are written, by when their lease ends (sorted set).
    pub(super) fn leases(&self, partition: u8) -> String {
        format!("{}{{{partition}}}:leases", self.prefix)
    }

    /// The streams of a partition whose writers have left them to other nodes (sorted set of one score).
    pub(super) fn left(&self, partition: u8) -> String {
        format!("{}{{{partition}}}:left", self.prefix)
    }

    /// What is known of a stream (hash).
    pub(super) fn meta(&self, id: StreamId) -> String {
        format!("{}{{{}}}:m:{id}", self.prefix, partition(id))
    }

    /// A stream's entries (stream).
    pub(super) fn entries(&self, id: StreamId) -> String {
        format!("{}{{{}}}:l:{id}", self.prefix, partition(id))
    }

    /// The nodes where a stream is read, by when that ends unless it is said again (sorted set).
    pub(super) fn readers(&self, id: StreamId) -> String {
        format!("{}{{{}}}:r:{id}", self.prefix, partition(id))
    }

    /// Where readers of a stream hear that it has grown (channel).
    pub(super) fn growth(&self, id: StreamId) -> String {
        format!("{}w:{id}", self.prefix)
    }

    /// Where a node hears that one of its writers must look (channel; the message is a stream's id).
    pub(super) fn control(&self, node: &str) -> String {
        format!("{}c:{node}", self.prefix)
    }

    /// An owner's streams, by id, which is by age (sorted set of one score).
    pub(super) fn owner(&self, owner: &Owner) -> String {
        format!(
            "{}o:{}",
            self.prefix,
            digest(&[&owner.issuer, &owner.subject, ""])
        )
    }

    /// What an owner's idempotency key stands for: the stream's id and the request's digest.
    pub(super) fn idempotency(&self, owner: &Owner, key: &str) -> String {
        format!(
            "{}i:{}",
            self.prefix,
            digest(&[&owner.issuer, &owner.subject, key])
        )
    }
}

/// The id of a stream's entry, whose last sequence number is `last`.
pub(super) fn entry(fence: u64, last: u64) -> String {
    format!("{fence}-{last}")
}

/// The partition of a stream: its last byte is a random one.
pub(super) fn partition(id: StreamId) -> u8 {
    let mut text = [0; 32];
    let last = id.encode(&mut text).bytes().next_back().unwrap_or_default();
    char::from(last)
        .to_digit(16)
        .map_or(0, |digit| u8::try_from(digit).unwrap_or_default())
        % PARTITIONS
}
