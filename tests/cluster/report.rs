//! What a run says of itself: a line while it goes on, a table at its end, and what went wrong.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::rc::Rc;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tokio::time::sleep;

use crate::checker::{self, Fault, Kind, Seen, Stream, Violation};
use crate::world::World;

/// How many violations are told in full.
const TOLD: usize = 5;

/// Says how it goes, on a terminal, for as long as it is polled.
pub async fn progress(world: &Rc<World>, phase: &str) {
    let style = ProgressStyle::with_template("{spinner} {elapsed} {msg}").unwrap();
    let bar = ProgressBar::new_spinner().with_style(style);
    loop {
        bar.set_message(format!("{phase}: {}", summary(world)));
        bar.tick();
        sleep(Duration::from_millis(200)).await;
    }
}

fn summary(world: &World) -> String {
    let counts = &world.counts;
    let faults = world.faults.borrow();
    let now = faults.iter().filter(|fault| fault.to == u64::MAX);
    format!(
        "{} streams live of {}, {} events, {} cuts; {} faults, now: {}",
        counts.live.get(),
        counts.streams.get(),
        counts.events.get(),
        counts.cuts.get(),
        faults.len(),
        listed(now.map(|fault| format!("{:?}", fault.kind)))
    )
}

/// What came of a phase. Answers how many violations there are.
pub fn report(phase: &str, world: &World, streams: &[Stream], lost_bytes: u64) -> usize {
    let faults = world.faults.borrow();
    let violations: Vec<(&Stream, Violation)> = streams
        .iter()
        .flat_map(|stream| {
            let found = checker::check(stream, &faults);
            found.into_iter().map(move |violation| (stream, violation))
        })
        .collect();
    // While nodes are only replaced, there is always one that takes a new stream.
    let is_deploy = faults.iter().all(|fault| fault.kind == Kind::Drain);
    let turned_away = world.counts.turned_away.get();
    let refused = if is_deploy { turned_away } else { 0 };
    let count = violations.len() + usize::try_from(refused).unwrap();
    let mut told = format!("\n{phase}\n");
    for (name, value) in table(world, streams, &faults, lost_bytes) {
        let _ = writeln!(told, "  {name:<34} {value}");
    }
    let _ = writeln!(told, "  {:<34} {count}", "violations");
    for (stream, violation) in violations.iter().take(TOLD) {
        tell(&mut told, stream, violation);
    }
    for (stream, violation) in violations.iter().skip(TOLD) {
        let rule = violation.rule;
        let _ = writeln!(
            told,
            "also {rule:?} of stream {}: {}",
            stream.number, violation.what
        );
    }
    if !violations.is_empty() {
        for fault in faults.iter() {
            let _ = writeln!(told, "  {fault:?}");
        }
    }
    println!("{told}");
    count
}

fn table(
    world: &World,
    streams: &[Stream],
    faults: &[Fault],
    lost_bytes: u64,
) -> Vec<(&'static str, String)> {
    let counts = &world.counts;
    let killed = streams
        .iter()
        .filter_map(|stream| checker::lost_after(stream, faults));
    let killed = killed
        .max()
        .map_or_else(|| "none".to_owned(), |after| format!("{after} ms"));
    let most = counts.most_live.get();
    let tokens: usize = streams.iter().map(|stream| stream.expected.len()).sum();
    let kinds = faults.iter().map(|fault| format!("{:?}", fault.kind));
    let number = |cell: &std::cell::Cell<u64>| cell.get().to_string();
    vec![
        (
            "streams",
            format!("{} (at most {most} at once)", streams.len()),
        ),
        ("tokens asked for", tokens.to_string()),
        ("readers", number(&counts.readers)),
        ("events delivered and compared", number(&counts.events)),
        ("connections", number(&counts.connections)),
        ("cuts by the reader", number(&counts.cuts)),
        ("broken by the server's side", number(&counts.broken)),
        ("left for silence", number(&counts.silent)),
        ("hops to another node", number(&counts.hops)),
        (
            "requests repeated with their key",
            number(&counts.repeated_posts),
        ),
        ("tries to touch others' streams", number(&counts.intrusions)),
        (
            "found no node for a new stream",
            number(&counts.turned_away),
        ),
        ("faults", listed(kinds)),
        ("bytes of writes lost by failovers", lost_bytes.to_string()),
        ("streams by their end", listed(streams.iter().map(end))),
        (
            "worst end after its generation",
            format!("{} ms", latest(streams)),
        ),
        ("worst end after a kill in calm", killed),
    ]
}

fn end(stream: &Stream) -> String {
    let mut seen = stream.readers.iter().flat_map(|reader| &reader.seen);
    let end = seen.find(|seen| seen.is_terminal());
    end.map_or_else(|| "none".to_owned(), Seen::outcome)
}

/// How many of each.
fn listed(names: impl Iterator<Item = String>) -> String {
    let mut counts = BTreeMap::<String, usize>::new();
    for name in names {
        *counts.entry(name).or_default() += 1;
    }
    let counts = counts.iter().map(|(name, count)| format!("{name} {count}"));
    counts.collect::<Vec<_>>().join(", ")
}

/// How late after its generation was over an end was seen by any reader, in ms, unless a node was lost.
fn latest(streams: &[Stream]) -> u64 {
    let late = streams.iter().flat_map(|stream| {
        let readers = stream.readers.iter().filter(|reader| !reader.is_audit);
        readers.filter_map(|reader| {
            let came = reader.steps.first().map_or(0, |(at, _)| *at);
            let end = reader.seen.iter().find(|seen| seen.is_terminal())?;
            let over = (stream.created + stream.takes).max(came);
            (end.outcome() != "producer_lost").then(|| end.at.saturating_sub(over))
        })
    });
    late.max().unwrap_or_default()
}

/// All there is to know of one violation.
fn tell(told: &mut String, stream: &Stream, violation: &Violation) {
    let Stream {
        number,
        id,
        nodes,
        created,
        takes,
        cancelled,
        ..
    } = stream;
    let _ = writeln!(
        told,
        "\n{:?}: {}\n  stream {number}, {id}, of node {nodes:?}, created at {created} ms, takes {takes} ms, \
         {} tokens, cancelled {cancelled:?}",
        violation.rule,
        violation.what,
        stream.expected.len(),
    );
    let Some(reader) = violation.reader.map(|number| &stream.readers[number]) else {
        return;
    };
    let _ = writeln!(told, "  {} after {:?}", reader.name, reader.after);
    for (at, step) in &reader.steps {
        let _ = writeln!(told, "    {at:>7} ms  {step}");
    }
    let seqs: Vec<String> = reader
        .seen
        .iter()
        .map(|seen| format!("{}@{}", seen.seq, seen.at))
        .collect();
    let _ = writeln!(told, "    saw {}", seqs.join(" "));
}
