//! What Redis knows of a stream beside its entries, and who may touch it.

use std::collections::BTreeMap;

use redis::{FromRedisValue, ParsingError, Value};

use crate::stream::{Owner, StreamId, Terminal};
use crate::stream_log::{Access, Description, LogError, NewStream};

/// The fields that [`Record`] is made of, in its order.
pub(super) const FIELDS: [&str; 9] = [
    "owner", "model", "created", "metadata", "last", "terminal", "removed", "key", "reserved",
];

/// A stream's hash, and whether there are entries.
#[derive(Default)]
pub(super) struct Record(Vec<Option<String>>);

impl FromRedisValue for Record {
    fn from_redis_value(value: Value) -> Result<Self, ParsingError> {
        Vec::from_redis_value(value).map(Self)
    }
}

impl Record {
    fn field(&self, name: &str) -> Option<&str> {
        let at = FIELDS.iter().position(|field| *field == name)?;
        self.0.get(at)?.as_deref()
    }

    /// Whether Redis knows nothing of such a stream, not even that it was deleted.
    pub(super) fn is_unknown(&self) -> bool {
        self.field("owner").is_none()
    }

    /// Whether there is such a stream for anybody.
    pub(super) fn exists(&self) -> bool {
        self.field("owner").is_some() && self.field("removed").is_none()
    }

    /// Whether the caller may touch it.
    pub(super) fn check(&self, access: Access<'_>) -> Result<(), LogError> {
        if !self.exists() {
            return Err(LogError::Missing);
        }
        match access {
            Access::Owner(caller) if self.field("owner") != Some(&*owner_text(caller)) => {
                Err(LogError::Foreign)
            }
            // What has ended is remembered for longer than its entries are kept.
            _ if self.has_ended()
                && self
                    .0
                    .last()
                    .is_some_and(|kept| kept.as_deref() == Some("0")) =>
            {
                Err(LogError::Expired)
            }
            Access::Owner(_) | Access::Operator => Ok(()),
        }
    }

    pub(super) fn last(&self) -> u64 {
        self.field("last")
            .and_then(|last| last.parse().ok())
            .unwrap_or_default()
    }

    pub(super) fn has_ended(&self) -> bool {
        self.field("terminal").is_some()
    }

    /// The name and the content of the idempotency key that the stream was created with.
    pub(super) fn reserved(&self) -> Option<(&str, &str)> {
        Some((self.field("key")?, self.field("reserved")?))
    }

    /// Whose it is.
    pub(super) fn owner(&self) -> Option<Owner> {
        let (issuer, subject): (String, String) =
            serde_json::from_str(self.field("owner")?).ok()?;
        Some(Owner {
            issuer: issuer.into(),
            subject: subject.into(),
        })
    }

    pub(super) fn describe(&self, id: StreamId) -> Description {
        let json = |name| self.field(name).unwrap_or("null");
        Description {
            id,
            model: self.field("model").unwrap_or_default().to_owned(),
            created: json("created").parse().unwrap_or_default(),
            metadata: serde_json::from_str(json("metadata")).unwrap_or_default(),
            last_seq: self.last(),
            terminal: self
                .field("terminal")
                .and_then(|json| serde_json::from_str(json).ok()),
        }
    }
}

/// The fields of a new stream, and their values.
pub(super) fn fields(new: &NewStream) -> [(&'static str, String); 4] {
    // Plain maps of text, for which serialisation cannot fail.
    let metadata = |metadata: &BTreeMap<String, String>| serde_json::to_string(metadata);
    [
        ("owner", owner_text(&new.owner)),
        ("model", new.model.clone()),
        ("created", new.created.to_string()),
        ("metadata", metadata(&new.metadata).unwrap_or_default()),
    ]
}

fn owner_text(owner: &Owner) -> String {
    serde_json::to_string(&(&*owner.issuer, &*owner.subject)).unwrap_or_default()
}

/// The terminal as it stands in the hash and in the log.
pub(super) fn terminal_text(terminal: &Terminal) -> String {
    serde_json::to_string(terminal).unwrap_or_default()
}
