//! What every backend of [`StreamLog`] must do: generic checks, run by each backend's own tests.

mod keys;

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::time::Duration;

use futures_util::FutureExt as _;

use super::{
    Access, Control, Created, Follower, IdempotencyKey, LogError, NewStream, Presence, Status,
    StreamLog, Writer,
};
use crate::stream::{
    Batch, Failure, FailureCode, FinishReason, Kind, Owner, StreamId, Terminal, Timing, Usage,
};

const DEADLINE: Duration = Duration::from_secs(5);

pub(super) fn owner(subject: &str) -> Owner {
    Owner {
        issuer: "conformance".into(),
        subject: subject.into(),
    }
}

pub(super) fn new_stream(owner: &Owner, key: Option<(&str, u8)>) -> NewStream {
    NewStream {
        id: StreamId::generate(),
        owner: owner.clone(),
        model: "m".into(),
        created: 1,
        metadata: BTreeMap::from([("note".to_owned(), "mine".to_owned())]),
        idempotency: key.map(|(key, byte)| IdempotencyKey {
            key: key.into(),
            fingerprint: [byte; 32],
        }),
        job: None,
    }
}

pub(super) fn done() -> Terminal {
    Terminal::Done {
        finish_reason: FinishReason::Stop,
        usage: Usage::new(1, 2),
        timing: Timing {
            first_token_ms: Some(1),
            total_ms: 2,
        },
        text_sha256: String::new(),
    }
}

pub(super) fn failed() -> Terminal {
    Terminal::Error {
        error: Failure::new(FailureCode::IdleTimeout, "quiet"),
        usage: Usage::default(),
    }
}

pub(super) async fn create(log: &dyn StreamLog, owner: &Owner) -> (StreamId, Writer) {
    let new = new_stream(owner, None);
    let id = new.id;
    match log.create(new).await {
        Ok(Created::New(writer)) => (id, writer),
        _ => panic!("expected a new stream"),
    }
}

pub(super) async fn write(writer: &mut Writer, texts: &[&str]) -> Result<(), LogError> {
    let mut batch = Batch::default();
    for text in texts {
        batch.push_text(text);
    }
    flush(writer, &mut batch).await
}

pub(super) async fn close(writer: &mut Writer, terminal: &Terminal) -> Result<(), LogError> {
    let mut batch = Batch::default();
    batch.push_terminal(terminal);
    flush(writer, &mut batch).await
}

async fn flush(writer: &mut Writer, batch: &mut Batch) -> Result<(), LogError> {
    poll_fn(|context| writer.poll_flush(context, batch)).await
}

/// Reads a follower to the end: the sequence numbers, the kinds and the text.
pub(super) async fn drain(follower: &mut Follower) -> (Vec<u64>, Vec<Kind>, String) {
    let (mut seqs, mut kinds, mut text) = (Vec::new(), Vec::new(), String::new());
    let mut batch = Batch::default();
    loop {
        let read = poll_fn(|context| follower.poll_read(context, &mut batch, 64));
        if !tokio::time::timeout(DEADLINE, read).await.unwrap().unwrap() {
            return (seqs, kinds, text);
        }
        for entry in batch.entries() {
            seqs.push(entry.seq);
            kinds.push(entry.kind);
            if entry.kind == Kind::Text {
                text.push_str(entry.payload);
            }
        }
    }
}

async fn control(writer: &mut Writer) -> Control {
    let told = poll_fn(|context| writer.poll_control(context));
    tokio::time::timeout(DEADLINE, told).await.unwrap()
}

/// Runs every check on a log that was just made: what is written through `log` is read, found and
/// touched through `other`, which may be the same one, or another node's.
pub(super) async fn all(log: &dyn StreamLog, other: &dyn StreamLog) {
    ids_are_contiguous_and_the_terminal_is_last(log, other).await;
    a_follower_waits_and_is_woken(log, other).await;
    any_cursor_resumes(log, other).await;
    nothing_follows_the_terminal(log, other).await;
    a_dropped_writer_closes_its_stream(log, other).await;
    streams_belong_to_their_owner(log, other).await;
    control_is_told_once(log, other).await;
    each_visit_is_told(log, other).await;
    keys::find_their_stream(log, other).await;
    keys::are_given_up_by_void_streams(log, other).await;
    lists_are_newest_first(log, other).await;
    removal_is_at_once_and_followers_are_told(log, other).await;
}

async fn ids_are_contiguous_and_the_terminal_is_last(log: &dyn StreamLog, other: &dyn StreamLog) {
    let owner = owner("ids");
    let (id, mut writer) = create(log, &owner).await;
    write(&mut writer, &["a", "b"]).await.unwrap();
    write(&mut writer, &["c"]).await.unwrap();
    close(&mut writer, &done()).await.unwrap();
    let mut follower = other
        .follow(Access::Owner(&owner), id, None, Presence::Connected)
        .await
        .unwrap();
    let (seqs, kinds, text) = drain(&mut follower).await;
    assert_eq!(seqs, [0, 1, 2, 3, 4]);
    assert_eq!(kinds[0], Kind::Start);
    assert_eq!(kinds[4], Kind::Done);
    assert_eq!(text, "abc");
    let description = other.describe(Access::Owner(&owner), id).await.unwrap();
    assert_eq!(description.last_seq, 4);
    assert_eq!(description.terminal, Some(done()));
    assert_eq!(description.metadata["note"], "mine");
}

async fn a_follower_waits_and_is_woken(log: &dyn StreamLog, other: &dyn StreamLog) {
    let owner = owner("waits");
    let (id, mut writer) = create(log, &owner).await;
    let mut followers = Vec::new();
    for _ in 0..3 {
        followers.push(
            other
                .follow(Access::Owner(&owner), id, None, Presence::Connected)
                .await
                .unwrap(),
        );
    }
    let reading = futures_util::future::join_all(followers.iter_mut().map(drain));
    let writing = async {
        for _ in 0..50 {
            write(&mut writer, &["x"]).await.unwrap();
            tokio::task::yield_now().await;
        }
        close(&mut writer, &failed()).await.unwrap();
    };
    let (read, ()) = futures_util::future::join(reading, writing).await;
    for (seqs, kinds, text) in read {
        assert_eq!(seqs, (0..52).collect::<Vec<u64>>());
        assert_eq!(kinds.last(), Some(&Kind::Error));
        assert_eq!(text.len(), 50);
    }
}

async fn any_cursor_resumes(log: &dyn StreamLog, other: &dyn StreamLog) {
    let owner = owner("resumes");
    let (id, mut writer) = create(log, &owner).await;
    for at in 0..100 {
        write(&mut writer, &[&format!("{at};")]).await.unwrap();
    }
    close(&mut writer, &done()).await.unwrap();
    for after in 0..=101 {
        let access = Access::Owner(&owner);
        let mut follower = other
            .follow(access, id, Some(after), Presence::Connected)
            .await
            .unwrap();
        let (seqs, _, _) = drain(&mut follower).await;
        assert_eq!(seqs, (after + 1..=101).collect::<Vec<u64>>());
        let batch = other.read(access, id, Some(after), 1 << 20).await.unwrap();
        assert_eq!(batch.len(), seqs.len());
    }
    let beyond = other
        .follow(Access::Owner(&owner), id, Some(102), Presence::Connected)
        .await;
    assert_eq!(beyond.err(), Some(LogError::BeyondEnd));
}

async fn nothing_follows_the_terminal(log: &dyn StreamLog, other: &dyn StreamLog) {
    let owner = owner("terminal");
    let (id, mut writer) = create(log, &owner).await;
    close(&mut writer, &done()).await.unwrap();
    assert_eq!(write(&mut writer, &["late"]).await, Err(LogError::Closed));
    assert_eq!(close(&mut writer, &failed()).await, Err(LogError::Closed));
    drop(writer);
    let description = other.describe(Access::Owner(&owner), id).await.unwrap();
    assert_eq!(description.terminal, Some(done()));
}

async fn a_dropped_writer_closes_its_stream(log: &dyn StreamLog, other: &dyn StreamLog) {
    let owner = owner("dropped");
    let (id, mut writer) = create(log, &owner).await;
    write(&mut writer, &["a"]).await.unwrap();
    drop(writer);
    let mut follower = other
        .follow(Access::Owner(&owner), id, None, Presence::Connected)
        .await
        .unwrap();
    let (_, kinds, text) = drain(&mut follower).await;
    assert_eq!((kinds.last(), text.as_str()), (Some(&Kind::Error), "a"));
    let terminal = other
        .describe(Access::Owner(&owner), id)
        .await
        .unwrap()
        .terminal;
    assert_eq!(terminal.unwrap().outcome(), "producer_lost");
}

async fn streams_belong_to_their_owner(log: &dyn StreamLog, other: &dyn StreamLog) {
    let (mine, theirs) = (owner("mine"), owner("other"));
    let same_subject = Owner {
        issuer: "elsewhere".into(),
        ..mine.clone()
    };
    let (id, _writer) = create(log, &mine).await;
    for stranger in [&theirs, &same_subject] {
        let access = Access::Owner(stranger);
        assert_eq!(
            other
                .follow(access, id, None, Presence::Connected)
                .await
                .err(),
            Some(LogError::Foreign)
        );
        assert_eq!(
            other.read(access, id, None, 1).await.err(),
            Some(LogError::Foreign)
        );
        assert_eq!(
            other.describe(access, id).await.err(),
            Some(LogError::Foreign)
        );
        assert_eq!(other.cancel(access, id).await, Err(LogError::Foreign));
        assert_eq!(other.remove(access, id).await, Err(LogError::Foreign));
        assert!(
            other
                .list(stranger, None, None, 10)
                .await
                .unwrap()
                .is_empty()
        );
    }
    assert!(other.describe(Access::Operator, id).await.is_ok());
    let unknown = StreamId::generate();
    let missing = other.describe(Access::Owner(&mine), unknown).await.err();
    assert_eq!(missing, Some(LogError::Missing));
}

async fn control_is_told_once(log: &dyn StreamLog, other: &dyn StreamLog) {
    let owner = owner("control");
    let (id, mut writer) = create(log, &owner).await;
    let quiet =
        |writer: &mut Writer| poll_fn(|context| writer.poll_control(context)).now_or_never();
    assert_eq!(
        quiet(&mut writer),
        None,
        "nobody has left a stream that nobody has read"
    );
    let first = other
        .follow(Access::Owner(&owner), id, None, Presence::Connected)
        .await
        .unwrap();
    let second = other
        .follow(Access::Owner(&owner), id, None, Presence::Connected)
        .await
        .unwrap();
    assert_eq!(control(&mut writer).await, Control::Attended);
    drop(first);
    assert_eq!(quiet(&mut writer), None);
    drop(second);
    assert_eq!(
        control(&mut writer).await,
        Control::Deserted(Presence::Connected)
    );
    let third = other
        .follow(Access::Owner(&owner), id, None, Presence::Connected)
        .await
        .unwrap();
    assert_eq!(control(&mut writer).await, Control::Attended);
    assert_eq!(writer.readers(), 3);
    other.cancel(Access::Owner(&owner), id).await.unwrap();
    other.cancel(Access::Owner(&owner), id).await.unwrap();
    assert_eq!(control(&mut writer).await, Control::Cancel);
    assert_eq!(quiet(&mut writer), None);
    close(&mut writer, &done()).await.unwrap();
    other.cancel(Access::Owner(&owner), id).await.unwrap();
    drop(third);
}

/// A reader that comes and leaves between two looks of the writer has been there: whoever polls
/// does so each time, and is not away for as long as it has polled.
async fn each_visit_is_told(log: &dyn StreamLog, other: &dyn StreamLog) {
    let owner = owner("visits");
    let (id, mut writer) = create(log, &owner).await;
    for _ in 0..3 {
        let visit = other.follow(Access::Owner(&owner), id, None, Presence::Polling);
        drop(visit.await.unwrap());
        loop {
            let told = control(&mut writer).await;
            if told == Control::Deserted(Presence::Polling) {
                break;
            }
            assert_eq!(told, Control::Attended);
        }
    }
    let again = poll_fn(|context| writer.poll_control(context)).now_or_never();
    assert_eq!(again, None, "and each is told once");
}

async fn lists_are_newest_first(log: &dyn StreamLog, other: &dyn StreamLog) {
    let owner = owner("lists");
    let mut ids = Vec::new();
    let mut writers = Vec::new();
    for _ in 0..5 {
        let (id, writer) = create(log, &owner).await;
        ids.insert(0, id);
        writers.push(writer);
    }
    close(&mut writers[2], &failed()).await.unwrap();
    let listed = |status, after, limit| {
        let owner = owner.clone();
        async move {
            let found = other.list(&owner, status, after, limit).await.unwrap();
            found.into_iter().map(|found| found.id).collect::<Vec<_>>()
        }
    };
    assert_eq!(listed(None, None, 10).await, ids);
    assert_eq!(listed(None, None, 2).await, ids[..2]);
    assert_eq!(listed(None, Some(ids[1]), 2).await, ids[2..4]);
    assert_eq!(listed(Some(Status::Error), None, 10).await, [ids[2]]);
    assert_eq!(listed(Some(Status::Running), None, 10).await.len(), 4);
}

async fn removal_is_at_once_and_followers_are_told(log: &dyn StreamLog, other: &dyn StreamLog) {
    let owner = owner("removal");
    let (id, mut writer) = create(log, &owner).await;
    let mut follower = other
        .follow(Access::Owner(&owner), id, None, Presence::Connected)
        .await
        .unwrap();
    other.remove(Access::Owner(&owner), id).await.unwrap();
    let gone = other.describe(Access::Owner(&owner), id).await.err();
    assert_eq!(gone, Some(LogError::Missing));
    assert_eq!(
        other.remove(Access::Owner(&owner), id).await,
        Err(LogError::Missing)
    );
    loop {
        if control(&mut writer).await == Control::Cancel {
            break;
        }
    }
    close(&mut writer, &done()).await.unwrap();
    let (_, kinds, _) = drain(&mut follower).await;
    assert_eq!(kinds.last(), Some(&Kind::Done));
}
