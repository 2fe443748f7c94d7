//! The memory log's own promises: retention, ceilings, and what they never touch.

use super::*;
use crate::stream::Kind;
use crate::stream_log::conformance::{close, create, done, drain, new_stream, owner, write};

const MIB: usize = 1024 * 1024;

fn log(max_bytes: usize, max_stream_bytes: usize) -> MemoryLog {
    MemoryLog::new(MemoryConfig {
        retention: Duration::from_secs(600),
        max_bytes,
        max_stream_bytes,
    })
}

#[tokio::test]
async fn it_conforms() {
    let log = log(64 * MIB, MIB);
    crate::stream_log::conformance::all(&log, &log).await;
}

#[tokio::test]
async fn a_finished_stream_is_kept_for_its_retention_and_then_gone_for_its_owner() {
    let log = log(64 * MIB, MIB);
    let (mine, other) = (owner("mine"), owner("other"));
    let (live, _writer) = create(&log, &mine).await;
    let (finished, mut writer) = create(&log, &mine).await;
    close(&mut writer, &done()).await.unwrap();
    let ended = Instant::now();
    log.sweep(ended + Duration::from_secs(599));
    assert!(log.describe(Access::Owner(&mine), finished).await.is_ok());
    log.sweep(ended + Duration::from_secs(601));
    let error = |owner| {
        let log = log.clone();
        async move { log.describe(Access::Owner(owner), finished).await.err() }
    };
    assert_eq!(error(&mine).await, Some(LogError::Expired));
    assert_eq!(error(&other).await, Some(LogError::Foreign));
    assert!(
        log.describe(Access::Owner(&mine), live).await.is_ok(),
        "live streams stay"
    );
}

#[tokio::test]
async fn the_oldest_finished_makes_room_and_live_streams_never_do() {
    let log = log(100_000, 60_000);
    let owner = owner("o");
    let text = "x".repeat(20_000);
    let (live, mut live_writer) = create(&log, &owner).await;
    write(&mut live_writer, &[&text]).await.unwrap();
    let mut finished = Vec::new();
    for _ in 0..6 {
        let (id, mut writer) = create(&log, &owner).await;
        write(&mut writer, &[&text]).await.unwrap();
        close(&mut writer, &done()).await.unwrap();
        finished.push(id);
        assert!(log.bytes() < 100_000 + 30_000);
    }
    let gone = log.describe(Access::Owner(&owner), finished[0]).await.err();
    assert_eq!(gone, Some(LogError::Evicted));
    assert!(
        log.describe(Access::Owner(&owner), finished[5])
            .await
            .is_ok()
    );
    assert!(log.describe(Access::Owner(&owner), live).await.is_ok());
}

/// Creates streams until there is no room.
async fn fill(log: &MemoryLog, owner: &Owner) -> Vec<Created> {
    let mut live = Vec::new();
    loop {
        match log.create(new_stream(owner, None)).await {
            Ok(created) => live.push(created),
            Err(error) => {
                assert_eq!(error, LogError::Full);
                return live;
            }
        }
    }
}

#[tokio::test]
async fn a_log_full_of_live_streams_takes_no_new_one() {
    let log = log(50_000, 60_000);
    let owner = owner("o");
    let (id, mut writer) = create(&log, &owner).await;
    write(&mut writer, &[&"x".repeat(40_000)]).await.unwrap();
    let live = fill(&log, &owner).await;
    assert!((5..12).contains(&live.len()));
    close(&mut writer, &done()).await.unwrap();
    assert!(log.create(new_stream(&owner, None)).await.is_ok());
    let gone = log.describe(Access::Owner(&owner), id).await.err();
    assert_eq!(gone, Some(LogError::Evicted));
}

#[tokio::test]
async fn one_stream_has_its_own_ceiling_and_can_still_be_closed() {
    let log = log(64 * MIB, 10_000);
    let owner = owner("o");
    let (id, mut writer) = create(&log, &owner).await;
    write(&mut writer, &[&"x".repeat(8_000)]).await.unwrap();
    let too_large = write(&mut writer, &[&"x".repeat(8_000)]).await;
    assert_eq!(too_large, Err(LogError::TooLarge));
    close(&mut writer, &done()).await.unwrap();
    let mut follower = log
        .follow(Access::Owner(&owner), id, None, Presence::Connected)
        .await
        .unwrap();
    let (seqs, _, text) = drain(&mut follower).await;
    assert_eq!((seqs.len(), text.len()), (3, 8_000));
}

#[tokio::test]
async fn memory_comes_back() {
    let log = log(64 * MIB, MIB);
    let owner = owner("o");
    for _ in 0..100 {
        let (id, mut writer) = create(&log, &owner).await;
        write(&mut writer, &["a", "b", "c"]).await.unwrap();
        let _follower = log
            .follow(Access::Owner(&owner), id, None, Presence::Connected)
            .await
            .unwrap();
        close(&mut writer, &done()).await.unwrap();
    }
    assert!(log.bytes() > 0);
    log.sweep(Instant::now() + Duration::from_secs(601));
    assert_eq!(log.bytes(), 0);
    assert!(log.list(&owner, None, None, 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn the_ceiling_holds_whoever_reads() {
    let log = log(50_000, 60_000);
    let owner = owner("o");
    let (id, mut writer) = create(&log, &owner).await;
    write(&mut writer, &[&"x".repeat(40_000)]).await.unwrap();
    let follower = log.follow(Access::Owner(&owner), id, None, Presence::Connected);
    let mut follower = follower.await.unwrap();
    close(&mut writer, &done()).await.unwrap();
    let live = fill(&log, &owner).await;
    assert!(live.len() > 20, "the finished stream made room");
    let mut batch = Batch::default();
    let read = std::future::poll_fn(|context| follower.poll_read(context, &mut batch, 64)).await;
    assert_eq!(read, Err(LogError::Evicted));
}

#[tokio::test]
async fn an_expired_stream_is_read_to_its_end_by_whoever_follows_it() {
    let log = log(64 * MIB, MIB);
    let owner = owner("o");
    let (id, mut writer) = create(&log, &owner).await;
    write(&mut writer, &["whole"]).await.unwrap();
    close(&mut writer, &done()).await.unwrap();
    let mut follower = log
        .follow(Access::Owner(&owner), id, None, Presence::Connected)
        .await
        .unwrap();
    log.sweep(Instant::now() + Duration::from_secs(601));
    let (_, _, text) = drain(&mut follower).await;
    assert_eq!(text, "whole");
}

#[tokio::test]
async fn a_deleted_stream_does_not_keep_others_out_however_slowly_it_is_read() {
    let log = log(50_000, 60_000);
    let owner = owner("o");
    let mut readers = Vec::new();
    for _ in 0..2 {
        let (id, mut writer) = create(&log, &owner).await;
        write(&mut writer, &[&"x".repeat(20_000)]).await.unwrap();
        close(&mut writer, &done()).await.unwrap();
        let follower = log.follow(Access::Owner(&owner), id, None, Presence::Connected);
        readers.push(follower.await.unwrap());
        log.remove(Access::Owner(&owner), id).await.unwrap();
    }
    for _ in 0..20 {
        let (_, mut writer) = create(&log, &owner).await;
        write(&mut writer, &[&"x".repeat(10_000)]).await.unwrap();
        close(&mut writer, &done()).await.unwrap();
        assert!(log.bytes() < 60_000);
    }
}

#[tokio::test]
async fn live_streams_cannot_outgrow_the_ceiling() {
    let log = log(50_000, 60_000);
    let owner = owner("o");
    let (_, mut first) = create(&log, &owner).await;
    let (_, mut second) = create(&log, &owner).await;
    write(&mut first, &[&"x".repeat(30_000)]).await.unwrap();
    let full = write(&mut second, &[&"x".repeat(30_000)]).await;
    assert_eq!(full, Err(LogError::Full));
    close(&mut second, &done()).await.unwrap();
    assert!(log.bytes() < 50_000);
    write(&mut first, &["more"]).await.unwrap();
}

#[tokio::test]
async fn a_deleted_stream_is_live_until_it_ends_whatever_room_is_needed() {
    let log = log(50_000, 60_000);
    let owner = owner("o");
    let (id, mut writer) = create(&log, &owner).await;
    write(&mut writer, &[&"x".repeat(40_000)]).await.unwrap();
    let follower = log.follow(Access::Owner(&owner), id, None, Presence::Connected);
    let mut follower = follower.await.unwrap();
    let live = fill(&log, &owner).await;
    log.remove(Access::Owner(&owner), id).await.unwrap();
    let full = log.create(new_stream(&owner, None)).await.err();
    assert_eq!(full, Some(LogError::Full), "its producer still writes");
    close(&mut writer, &done()).await.unwrap();
    let (_, kinds, text) = drain(&mut follower).await;
    assert_eq!((kinds.last(), text.len()), (Some(&Kind::Done), 40_000));
    // Now that it has ended, it is the first to go.
    assert!(fill(&log, &owner).await.len() > live.len());
    drop(follower);
}
