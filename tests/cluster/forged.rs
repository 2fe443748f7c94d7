//! Forged histories, each of which the checker must find: run before every run, for a checker that
//! cannot fail proves nothing.

use serde_json::json;

use crate::checker::{Fault, History, Kind, Piece, Rule, Seen, Stream, check, digest};

/// A stream of three tokens that one reader read from the start, and another from the middle.
fn honest() -> Stream {
    let text = ["Rivers", " run", " on."];
    let mut stream = Stream {
        number: 0,
        subject: 0,
        id: "a".to_owned(),
        expected: text.map(|text| Piece::Token(text.to_owned())).to_vec(),
        fails: false,
        continues: false,
        nodes: vec![1],
        created: 1_000,
        takes: 300,
        cancelled: None,
        readers: Vec::new(),
        breaches: Vec::new(),
    };
    let mut seen = vec![event(0, "start", &json!({"stream": "a"}))];
    for (place, text) in text.iter().enumerate() {
        seen.push(event(place as u64 + 1, "token", &json!({"text": text})));
    }
    let end = json!({"finish_reason": "stop", "text_sha256": digest(&stream)});
    seen.push(event(4, "done", &end));
    let reader = |after: Option<u8>| History {
        name: format!("the reader after {after:?}"),
        after: after.map(u64::from),
        seen: seen[after.map_or(0, |after| usize::from(after) + 1)..].to_vec(),
        steps: vec![(1_000, "came".to_owned())],
        breach: None,
        is_audit: false,
    };
    stream.readers = vec![reader(None), reader(Some(1))];
    stream
}

fn event(seq: u64, kind: &str, more: &serde_json::Value) -> Seen {
    Seen {
        at: 1_000 + 100 * seq,
        seq,
        kind: kind.to_owned(),
        json: more.to_string(),
    }
}

fn lost(seq: u64) -> Seen {
    event(seq, "error", &json!({"error": {"code": "producer_lost"}}))
}

fn end_as_lost(stream: &mut Stream) {
    for reader in &mut stream.readers {
        *reader.seen.last_mut().unwrap() = lost(4);
    }
}

fn kill(node: usize, from: u64) -> Fault {
    Fault {
        kind: Kind::Kill,
        node: Some(node),
        from,
        to: from,
    }
}

type Forgery = (Option<Rule>, &'static str, fn(&mut Stream, &mut Vec<Fault>));

const FORGERIES: [Forgery; 22] = [
    (None, "nothing", |_, _| {}),
    (Some(Rule::Repeated), "an event twice", |stream, _| {
        let twice = stream.readers[0].seen[2].clone();
        stream.readers[0].seen.insert(2, twice);
    }),
    (Some(Rule::Gap), "an event left out", |stream, _| {
        stream.readers[0].seen.remove(2);
    }),
    (
        Some(Rule::Gap),
        "another start than the cursor",
        |stream, _| {
            stream.readers[1].seen.remove(0);
        },
    ),
    (
        Some(Rule::WrongBytes),
        "a changed byte everywhere",
        |stream, _| {
            let changed = json!({"text": " ran"}).to_string();
            stream.readers[0].seen[2].json.clone_from(&changed);
            stream.readers[1].seen[0].json = changed;
        },
    ),
    (
        Some(Rule::Contradicted),
        "other bytes for one reader",
        |stream, _| {
            let changed = json!({"text": " run", "more": 1}).to_string();
            stream.readers[1].seen[0].json = changed;
        },
    ),
    (
        Some(Rule::WrongBytes),
        "somebody else's start",
        |stream, _| {
            stream.readers[0].seen[0].json = json!({"stream": "b"}).to_string();
        },
    ),
    (Some(Rule::WrongBytes), "more than was said", |stream, _| {
        stream.expected.pop();
    }),
    (Some(Rule::TwoTerminals), "two ends", |stream, _| {
        stream.readers[0].seen.push(lost(5));
    }),
    (
        Some(Rule::AfterTerminal),
        "a token after the end",
        |stream, _| {
            let late = event(5, "token", &json!({"text": " on."}));
            stream.readers[0].seen.push(late);
        },
    ),
    (Some(Rule::NoTerminal), "no end", |stream, _| {
        stream.readers[0].seen.pop();
    }),
    (
        Some(Rule::Late),
        "an end that comes too late",
        |stream, _| {
            stream.readers[1].seen.last_mut().unwrap().at = 60_000;
        },
    ),
    (
        None,
        "the same, after a fault of Redis",
        |stream, faults| {
            stream.readers[1].seen.last_mut().unwrap().at = 60_000;
            faults.push(Fault {
                kind: Kind::RedisRestart,
                node: None,
                from: 1_100,
                to: 50_000,
            });
        },
    ),
    (
        Some(Rule::WrongEnd),
        "a lost producer, though no node was",
        |stream, _| {
            end_as_lost(stream);
        },
    ),
    (
        Some(Rule::WrongEnd),
        "a lost producer, when another node was",
        |stream, faults| {
            end_as_lost(stream);
            faults.push(kill(2, 1_100));
        },
    ),
    (None, "a producer that was lost", |stream, faults| {
        end_as_lost(stream);
        faults.push(kill(1, 1_100));
    }),
    (
        Some(Rule::WrongEnd),
        "a lost producer, where another node goes on",
        |stream, faults| {
            stream.continues = true;
            end_as_lost(stream);
            faults.push(kill(1, 1_100));
        },
    ),
    (
        Some(Rule::Late),
        "a lost producer, told too late",
        |stream, faults| {
            end_as_lost(stream);
            stream.readers[0].seen.last_mut().unwrap().at = 40_000;
            faults.push(kill(1, 1_100));
        },
    ),
    (
        Some(Rule::Late),
        "a lost producer, told to all a little too late",
        |stream, faults| {
            end_as_lost(stream);
            for reader in &mut stream.readers {
                reader.seen.last_mut().unwrap().at = 16_200;
            }
            faults.push(kill(1, 1_100));
        },
    ),
    (
        Some(Rule::WrongEnd),
        "a full store, though Redis was not full",
        |stream, faults| {
            for reader in &mut stream.readers {
                let end = json!({"error": {"code": "overloaded"}}).to_string();
                reader.seen.last_mut().unwrap().json = end;
            }
            faults.push(kill(1, 1_100));
        },
    ),
    (
        Some(Rule::WrongEnd),
        "a cancel that nobody sent",
        |stream, _| {
            for reader in &mut stream.readers {
                let end = json!({"finish_reason": "cancelled"}).to_string();
                reader.seen.last_mut().unwrap().json = end;
            }
        },
    ),
    (Some(Rule::Answer), "a wrong answer", |stream, _| {
        stream.readers[0].breach = Some("404".to_owned());
    }),
];

/// Stops the program if the checker misses one, or finds what is not there.
pub fn check_the_checker() -> usize {
    for (rule, name, forge) in FORGERIES {
        let (mut stream, mut faults) = (honest(), Vec::new());
        forge(&mut stream, &mut faults);
        let found: Vec<Rule> = check(&stream, &faults).iter().map(|it| it.rule).collect();
        match rule {
            None => assert!(found.is_empty(), "{name}: found {found:?}"),
            Some(rule) => assert!(
                found.contains(&rule),
                "{name}: found {found:?}, not {rule:?}"
            ),
        }
    }
    FORGERIES.len()
}
