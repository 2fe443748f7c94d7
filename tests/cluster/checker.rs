//! What must be true of every reader's history, and whether it is. Pure: `forged.rs` shows that each
//! rule can fail.
//!
//! Times are milliseconds since the run began.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

pub type Millis = u64;

/// A stream has its end so soon after what its generation takes.
pub const SLACK: Millis = 5_000;
/// How long a node that says nothing is believed to live.
pub const LEASE: Millis = 10_000;
/// A stream whose node was lost has its end so soon after.
pub const LOST_WITHIN: Millis = 15_000;
/// A stream has its end so soon after Redis is back to what it was.
pub const HEALED_WITHIN: Millis = 15_000;
/// A reader may take so long to notice that its node is silent, and to come back elsewhere.
pub const COMING_BACK: Millis = 12_000;

/// What a producer says at one sequence number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    Token(String),
    Reasoning(String),
}

/// A stream as it was asked for, and what came of it.
#[derive(Debug, Clone)]
pub struct Stream {
    pub number: usize,
    /// Whose it is.
    pub subject: usize,
    pub id: String,
    /// What its producer says, from sequence number 1 on.
    pub expected: Vec<Piece>,
    /// Whether the generator fails after that.
    pub fails: bool,
    /// Whether another node goes on with it if its own is lost.
    pub continues: bool,
    /// The nodes that may have produced it.
    pub nodes: Vec<usize>,
    pub created: Millis,
    /// How long the generation takes.
    pub takes: Millis,
    /// When it was cancelled.
    pub cancelled: Option<Millis>,
    pub readers: Vec<History>,
    /// What else was answered wrongly.
    pub breaches: Vec<String>,
}

/// What one reader saw, over all of its connections.
#[derive(Debug, Clone)]
pub struct History {
    pub name: String,
    /// The cursor that it first came with.
    pub after: Option<u64>,
    pub seen: Vec<Seen>,
    /// What it did, to be told if something is wrong.
    pub steps: Vec<(Millis, String)>,
    /// What it could not go on after.
    pub breach: Option<String>,
    /// Whether it came when all was over, so that times say nothing.
    pub is_audit: bool,
}

/// One event.
#[derive(Debug, Clone)]
pub struct Seen {
    pub at: Millis,
    pub seq: u64,
    pub kind: String,
    /// Its JSON as it came over the wire.
    pub json: String,
}

impl Seen {
    pub fn is_terminal(&self) -> bool {
        self.kind == "done" || self.kind == "error"
    }

    fn value(&self) -> Value {
        serde_json::from_str(&self.json).unwrap_or_default()
    }

    /// How the stream ended: a finish reason or an error's code.
    pub fn outcome(&self) -> String {
        let value = self.value();
        let outcome = &value["finish_reason"];
        let outcome = outcome.as_str().or(value["error"]["code"].as_str());
        outcome.unwrap_or_default().to_owned()
    }
}

/// What was done to the nodes and to Redis.
#[derive(Debug, Clone)]
pub struct Fault {
    pub kind: Kind,
    /// The node that it was done to, unless it was Redis.
    pub node: Option<usize>,
    pub from: Millis,
    pub to: Millis,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Kill,
    Pause,
    Drain,
    RedisRestart,
    Failover,
    PubSubDropped,
    ScriptFlush,
    Latency,
    Reset,
    MemoryFull,
}

impl Kind {
    /// Whether the streams of its node lose their producer.
    fn loses_producers(self) -> bool {
        matches!(self, Self::Kill | Self::Pause)
    }

    fn is_of_redis(self) -> bool {
        !matches!(self, Self::Kill | Self::Pause | Self::Drain)
    }
}

/// Which promise was broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    Answer,
    Repeated,
    Gap,
    Contradicted,
    WrongBytes,
    TwoTerminals,
    AfterTerminal,
    NoTerminal,
    WrongEnd,
    Late,
}

#[derive(Debug)]
pub struct Violation {
    pub rule: Rule,
    pub reader: Option<usize>,
    pub what: String,
}

/// By when a stream has its end.
pub fn due(stream: &Stream, faults: &[Fault]) -> Millis {
    let mut faults: Vec<&Fault> = faults.iter().collect();
    faults.sort_by_key(|fault| fault.from);
    let mut due = stream.created + stream.takes + SLACK;
    for fault in faults {
        if fault.from > due || fault.to < stream.created {
            continue;
        }
        if stream.continues && fault.node.is_some() {
            // By then it is known where it goes on, and at the worst all of it is still to come.
            due = due.max(fault.from + LOST_WITHIN + stream.takes);
        } else if loses(fault, stream) {
            due = due.max(fault.from + LOST_WITHIN);
        } else if fault.kind.is_of_redis() {
            due = due.max(fault.to + HEALED_WITHIN);
        }
    }
    due
}

/// How long after its node was killed a stream's first reader saw the end, if Redis had been well for a
/// lease before and went on so: that is what `LOST_WITHIN` promises. Not where a node was paused
/// meanwhile, since that may be the one at which all its readers wait.
pub fn lost_after(stream: &Stream, faults: &[Fault]) -> Option<Millis> {
    let ends = stream.readers.iter().filter(|reader| !reader.is_audit);
    let ends = ends.filter_map(|reader| {
        let end = reader.seen.iter().find(|seen| seen.is_terminal())?;
        let came = reader.steps.first().map_or(0, |(at, _)| *at);
        Some((end.at, came, end.outcome() == "producer_lost"))
    });
    let (at, came, lost) = ends.min()?;
    let mut kills = faults
        .iter()
        .filter(|fault| loses(fault, stream) && fault.from <= at);
    let kill = kills
        .next_back()
        .filter(|fault| lost && fault.kind == Kind::Kill)?;
    let is_calm = !faults.iter().any(|fault| {
        let hides = fault.kind == Kind::Pause && fault.to >= kill.from;
        let hinders = fault.kind.is_of_redis() && fault.to + LEASE >= kill.from;
        (hides || hinders) && fault.from <= kill.from + LOST_WITHIN
    });
    is_calm.then(|| at.saturating_sub(kill.from.max(came)))
}

fn loses(fault: &Fault, stream: &Stream) -> bool {
    !stream.continues
        && fault.kind.loses_producers()
        && fault.node.is_some_and(|node| stream.nodes.contains(&node))
}

/// All that is wrong with a stream.
pub fn check(stream: &Stream, faults: &[Fault]) -> Vec<Violation> {
    let mut violations = Vec::new();
    for what in &stream.breaches {
        violations.push(Violation {
            rule: Rule::Answer,
            reader: None,
            what: what.clone(),
        });
    }
    let mut known: BTreeMap<u64, (&str, &str)> = BTreeMap::new();
    for (number, reader) in stream.readers.iter().enumerate() {
        let mut report = |rule, what: String| {
            violations.push(Violation {
                rule,
                reader: Some(number),
                what,
            });
        };
        if let Some(breach) = &reader.breach {
            report(Rule::Answer, breach.clone());
        }
        check_order(reader, &mut report);
        for seen in &reader.seen {
            let (said, by) = *known.entry(seen.seq).or_insert((&seen.json, &reader.name));
            if said != seen.json {
                let seq = seen.seq;
                let what = format!("at {seq} {by} saw {said}, and this one {}", seen.json);
                report(Rule::Contradicted, what);
            }
            if let Err(what) = check_bytes(stream, seen) {
                report(Rule::WrongBytes, what);
            }
        }
        check_end(stream, reader, faults, &mut report);
    }
    if let Some(after) = lost_after(stream, faults).filter(|after| *after > LOST_WITHIN) {
        violations.push(Violation {
            rule: Rule::Late,
            reader: None,
            what: format!("its end was seen {after} ms after its node was killed"),
        });
    }
    violations
}

/// Sequence numbers are contiguous from the cursor on, and nothing follows the end.
fn check_order(reader: &History, report: &mut impl FnMut(Rule, String)) {
    let mut next = reader.after.map_or(0, |after| after + 1);
    let mut ended = false;
    for seen in &reader.seen {
        if ended {
            let rule = if seen.is_terminal() {
                Rule::TwoTerminals
            } else {
                Rule::AfterTerminal
            };
            report(rule, format!("after the end: {}", seen.json));
        } else if seen.seq < next {
            report(Rule::Repeated, format!("{} again", seen.seq));
        } else if seen.seq > next {
            report(Rule::Gap, format!("{} in place of {next}", seen.seq));
        }
        ended |= seen.is_terminal();
        next = seen.seq + 1;
    }
}

/// Each event says what the producer said.
fn check_bytes(stream: &Stream, seen: &Seen) -> Result<(), String> {
    let value = seen.value();
    let text = value["text"].as_str().unwrap_or_default().to_owned();
    let piece = match seen.kind.as_str() {
        "start" if seen.seq == 0 && value["stream"] == stream.id.as_str() => return Ok(()),
        "done" | "error" if seen.seq > 0 => return Ok(()),
        "token" => Some(Piece::Token(text)),
        "reasoning" => Some(Piece::Reasoning(text)),
        _ => None,
    };
    let place = usize::try_from(seen.seq)
        .ok()
        .and_then(|seq| seq.checked_sub(1));
    let expected = place.and_then(|place| stream.expected.get(place));
    if piece.is_some() && piece.as_ref() == expected {
        return Ok(());
    }
    Err(format!("expected {expected:?}, found {}", seen.json))
}

/// Each reader sees one end, one that can be, in time.
fn check_end(
    stream: &Stream,
    reader: &History,
    faults: &[Fault],
    report: &mut impl FnMut(Rule, String),
) {
    let Some(end) = reader.seen.iter().find(|seen| seen.is_terminal()) else {
        if reader.breach.is_none() {
            report(Rule::NoTerminal, "never saw an end".to_owned());
        }
        return;
    };
    let is_whole = end.seq == stream.expected.len() as u64 + 1;
    let outcome = end.outcome();
    let can_be = match outcome.as_str() {
        "stop" => !stream.fails && is_whole && end.value()["text_sha256"] == digest(stream),
        "generator_error" => stream.fails && is_whole,
        "cancelled" => stream.cancelled.is_some_and(|at| at <= end.at),
        "producer_lost" => met(stream, end, faults, |fault| loses(fault, stream)),
        "overloaded" => met(stream, end, faults, |fault| fault.kind == Kind::MemoryFull),
        _ => false,
    };
    if !can_be {
        let (seq, whole) = (end.seq, stream.expected.len() + 1);
        let what = format!("ended at {seq} (whole: {whole}) with {}", end.json);
        report(Rule::WrongEnd, what);
    }
    let came = reader.steps.first().map_or(0, |(at, _)| *at);
    let latest = due(stream, faults).max(came) + COMING_BACK;
    if end.at > latest && !reader.is_audit {
        let what = format!("saw the end at {} ms, which was due at {latest} ms", end.at);
        report(Rule::Late, what);
    }
}

/// Whether the stream lived through such a fault.
fn met(stream: &Stream, end: &Seen, faults: &[Fault], is_it: impl Fn(&Fault) -> bool) -> bool {
    let in_its_life = |fault: &Fault| fault.from <= end.at && fault.to >= stream.created;
    faults
        .iter()
        .any(|fault| is_it(fault) && in_its_life(fault))
}

/// The digest of the answer's text.
pub fn digest(stream: &Stream) -> String {
    let mut digest = Sha256::new();
    for piece in &stream.expected {
        if let Piece::Token(text) = piece {
            digest.update(text.as_bytes());
        }
    }
    let mut text = String::new();
    for byte in digest.finalize() {
        let _ = write!(text, "{byte:02x}");
    }
    text
}
