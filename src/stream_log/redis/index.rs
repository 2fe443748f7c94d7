//! How streams come to be and are found: by id, by owner and by idempotency key.
//!
//! Owners and idempotency keys are of no partition, so they cannot change in one step with a stream.
//! What they name is therefore only believed when the stream itself is there.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::future::{try_join, try_join_all};
use redis::cmd;
use tokio::time::{Instant, sleep};

use super::mirror::Mirror;
use super::record::{self, Record};
use super::writing::{FIRST_FENCE, millis};
use super::{Inner, REQUEST_PATIENCE, encoding};
use crate::redis::Ask;
use crate::stream::{Batch, Owner, Start, StreamId, hex};
use crate::stream_log::{
    Access, Created, Description, IdempotencyKey, LogError, NewStream, Status, Writer,
};

/// How long another request that holds an idempotency key may take to create its stream.
const CREATION: Duration = Duration::from_secs(3);

/// How many streams of an owner are looked at in one step.
const PAGE: usize = 64;

impl Inner {
    pub(super) async fn create(self: &Arc<Self>, new: NewStream) -> Result<Created, LogError> {
        let reservation = match &new.idempotency {
            None => None,
            Some(key) => match self.reserve(&new, key).await? {
                Reserved::Ours(reservation) => Some(reservation),
                Reserved::Theirs(id) => return Ok(Created::Existing(id)),
            },
        };
        let origin = Origin { new, reservation };
        // If Redis goes away just now, it may have made the stream without saying so; only asking on tells.
        let patience = match self.redis.up_for() {
            Some(_) => self.config.patience,
            None => REQUEST_PATIENCE,
        };
        if let Err(error) = self.make(&origin, patience).await {
            if let Some((key, reserved)) = &origin.reservation {
                let _stays = self.release(key, reserved).await;
            }
            return Err(error);
        }
        let id = origin.id();
        let mirror = Mirror::written(origin, self);
        self.mirrors().insert(id, Arc::downgrade(&mirror));
        mirror.write(self, FIRST_FENCE);
        Ok(Created::New(Writer::new(mirror)))
    }

    /// Makes a stream in Redis, with nothing but its start.
    async fn make(&self, origin: &Origin, patience: Duration) -> Result<(), LogError> {
        let new = &origin.new;
        let mut create = self.on_stream(&self.scripts.create, new.id);
        create
            .arg(encoding::encode(&origin.start()))
            .arg(millis(self.config.lease))
            .arg(millis(self.config.most_life))
            .arg("node")
            .arg(&self.node);
        for (field, value) in record::fields(new) {
            create.arg(field).arg(value);
        }
        if let Some(job) = &new.job {
            create.arg("job").arg(job);
        }
        if let Some((key, reserved)) = &origin.reservation {
            create.arg("key").arg(key).arg("reserved").arg(reserved);
        }
        let kept = self.kept();
        let mut index = self.scripts.index.key(self.keys.owner(&new.owner));
        index
            .arg(new.id.to_string())
            .arg(oldest(kept))
            .arg(millis(kept));
        // A repetition finds our own stream, for nobody else has its id.
        let created = self.ask::<u8>(patience, Ask::Script(&create));
        let indexed = self.ask::<u8>(patience, Ask::Script(&index));
        try_join(created, indexed).await.map(drop)
    }

    /// Makes a stream again that is written here and that Redis has lost as a whole.
    pub(super) async fn make_again(&self, mirror: &Mirror) -> Result<(), LogError> {
        let Some(origin) = &mirror.origin else {
            return Err(LogError::Unavailable);
        };
        tracing::warn!(stream.id = %mirror.id, "Redis has lost a stream: making it again");
        if let Some((key, reserved)) = &origin.reservation {
            let mut set = cmd("SET");
            set.arg(key).arg(reserved).arg("NX");
            set.arg("PX").arg(millis(self.kept()));
            let _: Option<String> = self.ask(self.config.patience, Ask::Command(&set)).await?;
        }
        self.make(origin, self.config.patience).await
    }

    /// For how long a stream can be known from its creation on.
    fn kept(&self) -> Duration {
        self.config.most_life + self.config.remembered()
    }

    /// Takes an idempotency key, unless a stream has it.
    async fn reserve(&self, new: &NewStream, key: &IdempotencyKey) -> Result<Reserved, LogError> {
        let name = self.keys.idempotency(&new.owner, &key.key);
        let ours = format!("{}:{}", new.id, fingerprint(key));
        let mut set = cmd("SET");
        set.arg(&name).arg(&ours).arg("NX").arg("GET").arg("PX");
        set.arg(millis(self.kept()));
        let started = Instant::now();
        loop {
            let theirs: Option<String> = self.ask(REQUEST_PATIENCE, Ask::Command(&set)).await?;
            let Some(theirs) = theirs.filter(|theirs| *theirs != ours) else {
                return Ok(Reserved::Ours((name, ours)));
            };
            match self.holder(&theirs).await? {
                Holder::Stream(id) => {
                    return is_of(&theirs, key)
                        .then_some(Reserved::Theirs(id))
                        .ok_or(LogError::KeyReused);
                }
                Holder::Void => {
                    self.release(&name, &theirs).await?;
                    continue;
                }
                Holder::Nobody => {}
            }
            // Whoever took it is about to make its stream, or has not, or the stream is gone again.
            let made = theirs.get(..12).unwrap_or_default();
            if started.elapsed() > CREATION || *made < oldest(CREATION)[..12] {
                self.release(&name, &theirs).await?;
            } else {
                sleep(Duration::from_millis(25)).await;
            }
        }
    }

    /// The stream that a key stands for.
    async fn holder(&self, reserved: &str) -> Result<Holder, LogError> {
        let id = reserved.split(':').next().and_then(|id| id.parse().ok());
        let Some(id) = id else {
            return Ok(Holder::Nobody);
        };
        let record = self.record(id).await?;
        Ok(match record.check(Access::Operator) {
            Err(_) => Holder::Nobody,
            Ok(()) if record.describe(id).is_void() => Holder::Void,
            Ok(()) => Holder::Stream(id),
        })
    }

    async fn release(&self, key: &str, reserved: &str) -> Result<(), LogError> {
        let mut release = self.scripts.release.key(key);
        release.arg(reserved);
        self.ask(REQUEST_PATIENCE, Ask::Script(&release)).await
    }

    pub(super) async fn find(
        &self,
        owner: &Owner,
        key: &IdempotencyKey,
    ) -> Result<Option<StreamId>, LogError> {
        let mut get = cmd("GET");
        get.arg(self.keys.idempotency(owner, &key.key));
        let reserved: Option<String> = self.ask(REQUEST_PATIENCE, Ask::Command(&get)).await?;
        let Some(reserved) = reserved else {
            return Ok(None);
        };
        match self.holder(&reserved).await? {
            Holder::Stream(_) if !is_of(&reserved, key) => Err(LogError::KeyReused),
            Holder::Stream(id) => Ok(Some(id)),
            Holder::Void | Holder::Nobody => Ok(None),
        }
    }

    pub(super) async fn list(
        &self,
        owner: &Owner,
        status: Option<Status>,
        after: Option<StreamId>,
        limit: usize,
    ) -> Result<Vec<Description>, LogError> {
        let key = self.keys.owner(owner);
        let mut found: Vec<Description> = Vec::new();
        let mut newest = after.map_or_else(|| "+".to_owned(), |after| format!("({after}"));
        while found.len() < limit {
            let mut page = cmd("ZREVRANGEBYLEX");
            page.arg(&key)
                .arg(&newest)
                .arg("-")
                .arg("LIMIT")
                .arg(0)
                .arg(PAGE);
            let ids: Vec<String> = self.ask(REQUEST_PATIENCE, Ask::Command(&page)).await?;
            let Some(oldest) = ids.last() else { break };
            newest = format!("({oldest}");
            let ids: Vec<StreamId> = ids.iter().filter_map(|id| id.parse().ok()).collect();
            let records = try_join_all(ids.iter().map(|id| self.record(*id))).await?;
            let is_wanted = |record: &Record| record.check(Access::Owner(owner)).is_ok();
            let streams = ids
                .iter()
                .zip(records)
                .filter(|(_, record)| is_wanted(record));
            let streams = streams.map(|(id, record)| record.describe(*id));
            found.extend(streams.filter(|it| status.is_none_or(|wanted| it.status() == wanted)));
        }
        found.truncate(limit);
        Ok(found)
    }

    pub(super) async fn remove(&self, access: Access<'_>, id: StreamId) -> Result<(), LogError> {
        let record = self.find_record(access, id).await?;
        let mut script = self.on_stream(&self.scripts.remove, id);
        script.arg(self.keys.control(""));
        let removed: u8 = self.ask(REQUEST_PATIENCE, Ask::Script(&script)).await?;
        if let Some((key, reserved)) = record.reserved() {
            self.release(key, reserved).await?;
        }
        if let Some(owner) = record.owner() {
            let mut forget = cmd("ZREM");
            forget.arg(self.keys.owner(&owner)).arg(id.to_string());
            let _: u8 = self.ask(REQUEST_PATIENCE, Ask::Command(&forget)).await?;
        }
        if removed == 1 {
            Ok(())
        } else {
            Err(LogError::Missing)
        }
    }
}

/// What a stream is made from. Its writer keeps it, should Redis lose all of the stream.
pub(super) struct Origin {
    new: NewStream,
    /// The name of its idempotency key, and what is stored there.
    reservation: Option<(String, String)>,
}

impl Origin {
    pub(super) const fn id(&self) -> StreamId {
        self.new.id
    }

    /// The batch that every stream begins with.
    pub(super) fn start(&self) -> Batch {
        let mut start = Batch::default();
        start.push_start(&Start {
            stream: self.new.id,
            model: self.new.model.clone(),
            created: self.new.created,
        });
        start
    }
}

/// What a key stands for.
enum Holder {
    Stream(StreamId),
    /// A stream that has given it up.
    Void,
    /// No stream that is there.
    Nobody,
}

/// Who has an idempotency key.
enum Reserved {
    /// We do: its name, and what is stored there.
    Ours((String, String)),
    Theirs(StreamId),
}

fn fingerprint(key: &IdempotencyKey) -> String {
    hex(&key.fingerprint)
}

/// Whether what is stored under a key belongs to this request.
fn is_of(reserved: &str, key: &IdempotencyKey) -> bool {
    reserved.split(':').nth(1) == Some(&*fingerprint(key))
}

/// The least id of a stream that was created so long ago or later: ids begin with a time.
fn oldest(ago: Duration) -> String {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    format!("{:012x}{:020}", now.saturating_sub(ago).as_millis(), 0)
}
