//! Idempotency keys: which stream they find, and when they are free again.

use super::{close, done, failed, new_stream, owner, write};
use crate::stream::{Failure, FailureCode, Terminal, Usage};
use crate::stream_log::{Access, Created, IdempotencyKey, LogError, StreamLog};

pub(super) async fn find_their_stream(log: &dyn StreamLog, other: &dyn StreamLog) {
    let (ann, ben) = (owner("ann"), owner("ben"));
    let first = new_stream(&ann, Some(("k", 1)));
    let id = first.id;
    let created = log.create(first).await.unwrap();
    let again = other
        .create(new_stream(&ann, Some(("k", 1))))
        .await
        .unwrap();
    assert!(matches!(again, Created::Existing(existing) if existing == id));
    let reused = other.create(new_stream(&ann, Some(("k", 2)))).await;
    assert_eq!(reused.err(), Some(LogError::KeyReused));
    let others = log.create(new_stream(&ben, Some(("k", 2)))).await.unwrap();
    assert!(
        matches!(others, Created::New(_)),
        "keys are told apart by owner"
    );
    let key = |byte| IdempotencyKey {
        key: "k".into(),
        fingerprint: [byte; 32],
    };
    assert_eq!(other.find(&ann, &key(1)).await, Ok(Some(id)));
    assert_eq!(other.find(&ann, &key(2)).await, Err(LogError::KeyReused));
    other.remove(Access::Owner(&ann), id).await.unwrap();
    assert_eq!(other.find(&ann, &key(1)).await, Ok(None));
    drop(created);
}

/// A failure that may pass, before the first token, is not the answer to every repetition; what a
/// reader may have a part of is, and so is what fails each time.
pub(super) async fn are_given_up_by_void_streams(log: &dyn StreamLog, other: &dyn StreamLog) {
    let owner = owner("void");
    let key = |key: &str| IdempotencyKey {
        key: key.into(),
        fingerprint: [1; 32],
    };
    let forbidden = Terminal::Error {
        error: Failure::new(FailureCode::UpstreamRefused, "no"),
        usage: Usage::default(),
    };
    for (name, texts, end, is_kept) in [
        ("void", &[][..], failed(), false),
        ("begun", &["a"], failed(), true),
        ("refused", &[], forbidden, true),
        ("done", &[], done(), true),
    ] {
        let new = new_stream(&owner, Some((name, 1)));
        let id = new.id;
        let Ok(Created::New(mut writer)) = log.create(new).await else {
            panic!("{name}: expected a new stream");
        };
        write(&mut writer, texts).await.unwrap();
        assert_eq!(other.find(&owner, &key(name)).await, Ok(Some(id)), "{name}");
        close(&mut writer, &end).await.unwrap();
        let found = other.find(&owner, &key(name)).await;
        assert_eq!(found, Ok(is_kept.then_some(id)), "{name}");
        let description = other.describe(Access::Owner(&owner), id).await.unwrap();
        assert_eq!(description.is_void(), !is_kept, "{name}");
        // What was given up is free for any request, and is then the new stream's.
        let again = new_stream(&owner, Some((name, 2)));
        let second = again.id;
        match other.create(again).await {
            Ok(Created::New(_writer)) if !is_kept => {
                let reused = other.find(&owner, &key(name)).await;
                assert_eq!(reused, Err(LogError::KeyReused), "{name}");
            }
            Err(LogError::KeyReused) if is_kept => continue,
            _ => panic!("{name}"),
        }
        // It lost its writer without a token, which may pass too; its key is found no more.
        assert_eq!(other.find(&owner, &key(name)).await, Ok(None), "{name}");
        let new = new_stream(&owner, Some((name, 1)));
        let third = new.id;
        let _writer = log.create(new).await.unwrap();
        for gone in [id, second] {
            log.remove(Access::Owner(&owner), gone).await.unwrap();
        }
        let found = other.find(&owner, &key(name)).await;
        assert_eq!(found, Ok(Some(third)), "forgetting the others leaves it");
    }
}
