//! What the pieces on the path of a request and of a token cost by themselves:
//! `cargo bench --bench micro`, or `-- encoder` for one group.

#![expect(
    clippy::unwrap_used,
    reason = "a benchmark that cannot be set up has nothing to say but where"
)]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use futures_util::FutureExt as _;
use tailrace::api::encode::Encoder;
use tailrace::auth::{
    Algorithm, JwtConfig, JwtVerifier, KeyConfig, KeyMaterial, KeySet, Principal, TokenRequest,
    mint,
};
use tailrace::limit::local::LocalLimiter;
use tailrace::limit::{LimitConfig, Plan, RateLimiter as _};
use tailrace::stream::{Batch, FinishReason, Owner, StreamId, Terminal, Timing, Usage};
use tailrace::stream_log::memory::{MemoryConfig, MemoryLog};
use tailrace::stream_log::{Access, Created, NewStream, Presence, StreamLog as _, Writer};

/// Pieces of text as a tokenizer cuts them.
const PROSE: [&str; 10] = [
    " What",
    " strikes",
    " a",
    " newcomer",
    " about",
    " lighthou",
    "se",
    " keepers",
    " is",
    ".",
];

/// Pieces of which each needs an escape or looks as if it did.
const AWKWARD: [&str; 10] = [
    "line\nfeed",
    "\"quoted\"",
    "back\\slash",
    "\u{2028}",
    "\u{85}",
    "nul\0byte",
    "caf\u{e9}",
    "\u{20ac}",
    "\u{1F9D1}\u{200d}\u{1F680}",
    "\r\n\r\n",
];

/// About what a response body takes from the log in one go.
const READ_BYTES: usize = 4 * 1024;

fn encoder(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("encoder");
    let stream = StreamId::generate();
    let encoder = Encoder::new(stream);
    for (name, texts) in [
        ("1000 prose tokens", PROSE),
        ("1000 awkward tokens", AWKWARD),
    ] {
        let mut batch = Batch::starting_at(1);
        for text in texts.iter().cycle().take(1000) {
            batch.push_text(text);
        }
        let mut out = Vec::with_capacity(256 * 1024);
        group.throughput(Throughput::Elements(1000));
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                out.clear();
                for entry in batch.entries() {
                    encoder.event(&entry, false, &mut out);
                }
                black_box(out.len())
            });
        });
    }
    group.finish();
}

/// A new stream in the log, and its writer.
fn create(log: &MemoryLog) -> (StreamId, Writer) {
    let id = StreamId::generate();
    let new = NewStream {
        id,
        owner: Owner {
            issuer: "benchmark".into(),
            subject: "somebody".into(),
        },
        model: "demo".to_owned(),
        created: 0,
        metadata: BTreeMap::new(),
        idempotency: None,
        job: None,
    };
    match log.create(new).now_or_never().unwrap().unwrap() {
        Created::New(writer) => (id, writer),
        Created::Existing(_) => unreachable!("there is no idempotency key"),
    }
}

fn flush(writer: &mut Writer, pending: &mut Batch) {
    let mut context = Context::from_waker(Waker::noop());
    let flushed = writer.poll_flush(&mut context, pending);
    assert_eq!(flushed, Poll::Ready(Ok(())));
}

fn log() -> MemoryLog {
    MemoryLog::new(MemoryConfig {
        retention: Duration::from_secs(600),
        max_bytes: 64 << 20,
        max_stream_bytes: 16 << 20,
    })
}

fn memory_log(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("memory log");

    let log = log();
    let mut context = Context::from_waker(Waker::noop());
    group.throughput(Throughput::Elements(1000));
    group.bench_function("append and follow 1000 batches of one token", |bencher| {
        let set_up = || {
            let (id, writer) = create(&log);
            let follower = log.follow(Access::Operator, id, None, Presence::Connected);
            (writer, follower.now_or_never().unwrap().unwrap())
        };
        bencher.iter_batched(
            set_up,
            |(mut writer, mut follower)| {
                let mut pending = Batch::default();
                let mut read = Batch::default();
                for text in PROSE.iter().cycle().take(1000) {
                    pending.push_text(text);
                    flush(&mut writer, &mut pending);
                    let more = follower.poll_read(&mut context, &mut read, READ_BYTES);
                    assert_eq!(more, Poll::Ready(Ok(true)));
                }
                (writer, follower)
            },
            BatchSize::SmallInput,
        );
    });

    let (id, mut writer) = create(&log);
    let mut pending = Batch::default();
    for text in PROSE.iter().cycle().take(10_000) {
        pending.push_text(text);
        flush(&mut writer, &mut pending);
    }
    pending.push_terminal(&Terminal::Done {
        finish_reason: FinishReason::Stop,
        usage: Usage::new(1, 10_000),
        timing: Timing {
            first_token_ms: None,
            total_ms: 1,
        },
        text_sha256: String::new(),
    });
    flush(&mut writer, &mut pending);
    group.throughput(Throughput::Elements(10_000));
    group.bench_function("replay 10000 entries", |bencher| {
        bencher.iter(|| {
            let follower = log.follow(Access::Operator, id, None, Presence::Connected);
            let mut follower = follower.now_or_never().unwrap().unwrap();
            let mut read = Batch::default();
            let mut entries = 0;
            while follower.poll_read(&mut context, &mut read, READ_BYTES) == Poll::Ready(Ok(true)) {
                entries += read.len();
            }
            assert_eq!(entries, 10_002);
        });
    });
    group.finish();
}

/// A key of our own making, for signing and for verifying.
fn key(algorithm: Algorithm) -> KeyConfig {
    let pair = match algorithm {
        Algorithm::RS256 => Some(&rcgen::PKCS_RSA_SHA256),
        Algorithm::ES256 => Some(&rcgen::PKCS_ECDSA_P256_SHA256),
        Algorithm::EdDSA => Some(&rcgen::PKCS_ED25519),
        _ => None,
    };
    let pair = pair.map(|kind| rcgen::KeyPair::generate_for(kind).unwrap());
    KeyConfig {
        id: Some("benchmark".to_owned()),
        algorithm: Some(algorithm),
        material: match &pair {
            None => KeyMaterial::Secret(vec![7; 32]),
            Some(pair) => KeyMaterial::Pem(pair.public_key_pem()),
        },
        issuers: Vec::new(),
        signing_pem: pair.map(|pair| pair.serialize_pem()),
    }
}

/// A verifier that trusts this key, and a token that it accepts.
fn verifier(key: KeyConfig) -> (JwtVerifier, String) {
    let request = TokenRequest {
        subject: "somebody".to_owned(),
        issuer: Some("https://issuer.example".to_owned()),
        audience: Some("tailrace".to_owned()),
        scope: "streams:read streams:write".to_owned(),
        plan: Some("wide".to_owned()),
        lifetime: Duration::from_secs(3600),
    };
    let token = mint(&key, &request).unwrap();
    let config = JwtConfig {
        issuers: vec!["https://issuer.example".to_owned()],
        audiences: vec!["tailrace".to_owned()],
        ..JwtConfig::default()
    };
    let verifier = JwtVerifier::new(config, KeySet::load(&[key]).unwrap());
    (verifier, token)
}

fn jwt(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("jwt");
    for algorithm in [
        Algorithm::HS256,
        Algorithm::RS256,
        Algorithm::ES256,
        Algorithm::EdDSA,
    ] {
        let (verifier, token) = verifier(key(algorithm));
        group.bench_function(format!("verify {algorithm}"), |bencher| {
            bencher.iter(|| verifier.verify(black_box(&token)).unwrap());
        });
    }
    group.finish();
}

fn principal() -> Principal {
    let (verifier, token) = verifier(key(Algorithm::HS256));
    verifier.verify(&token).unwrap()
}

fn limiter(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("limiter");
    let plan = Plan {
        requests_per_minute: u32::MAX,
        burst: u32::MAX,
        streams: 10,
        tokens_per_minute: u32::MAX,
    };
    let limiter = LocalLimiter::new(LimitConfig {
        max_streams: 10,
        max_principals: 10,
        default_reservation: 1000,
        default_plan: "wide".to_owned(),
        plans: BTreeMap::from([("wide".to_owned(), plan)]),
    });
    let principal = principal();
    group.bench_function("admit and settle", |bencher| {
        bencher.iter(|| {
            let admitted = limiter.admit(&principal, Some(100));
            let mut permit = admitted.now_or_never().unwrap().unwrap();
            permit.spend(50);
        });
    });
    group.finish();
}

criterion_group!(benches, encoder, memory_log, jwt, limiter);
criterion_main!(benches);
