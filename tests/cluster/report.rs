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
    let counts = &world.counts;
    let mut told = format!("\n{phase}\n");
    let mut row = |name: &str, value: String| _ = writeln!(told, "  {name:<34} {value}");
    row(
        "streams",
        format!(
            "{} (at most {} at once)",
            streams.len(),
            counts.most_live.get()
        ),
    );
    let tokens: usize = streams.iter().map(|stream| stream.expected.len()).sum();
    row("tokens generated, at most", tokens.to_string());
    row("readers", counts.readers.get().to_string());
    row(
        "events delivered and compared",
        counts.events.get().to_string(),
    );
    row("connections", counts.connections.get().to_string());
    row("cuts by the reader", counts.cuts.get().to_string());
    row(
        "broken by the server's side",
        counts.broken.get().to_string(),
    );
    row("left for silence", counts.silent.get().to_string());
    row("hops to another node", counts.hops.get().to_string());
    row(
        "requests repeated with their key",
        counts.repeated_posts.get().to_string(),
    );
    row(
        "tries to touch others' streams",
        counts.intrusions.get().to_string(),
    );
    row(
        "found no node for a new stream",
        counts.turned_away.get().to_string(),
    );
    row(
        "faults",
        listed(faults.iter().map(|fault| format!("{:?}", fault.kind))),
    );
    if faults.iter().any(|fault| fault.kind == Kind::Failover) {
        row("bytes of writes lost by failovers", lost_bytes.to_string());
    }
    row("streams by their end", listed(streams.iter().map(end)));
    let (late, lost) = worst(streams, &faults);
    row("worst end after its generation", format!("{late} ms"));
    row("worst end after a node was lost", format!("{lost} ms"));
    row("violations", violations.len().to_string());
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
    violations.len()
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

/// How late an end was seen at most, in ms: by any reader after the generation was over, and by the first
/// reader after its node was lost.
fn worst(streams: &[Stream], faults: &[Fault]) -> (u64, u64) {
    let (mut late, mut lost) = (0, 0);
    for stream in streams {
        let readers = stream.readers.iter().filter(|reader| !reader.is_audit);
        let ends = readers.filter_map(|reader| {
            let came = reader.steps.first().map_or(0, |(at, _)| *at);
            let end = reader.seen.iter().find(|seen| seen.is_terminal())?;
            Some((came, end))
        });
        let ends: Vec<(u64, &Seen)> = ends.collect();
        if ends.iter().any(|(_, end)| end.outcome() == "producer_lost") {
            let first = ends.iter().map(|(_, end)| end.at).min().unwrap_or_default();
            let is_its = |fault: &&Fault| {
                fault.from <= first && fault.node.is_some_and(|node| stream.nodes.contains(&node))
            };
            let from = faults.iter().filter(is_its).map(|fault| fault.from).max();
            lost = lost.max(first - from.unwrap_or(first));
        } else {
            let over = stream.created + stream.takes;
            let after = ends
                .iter()
                .map(|(came, end)| end.at.saturating_sub(over.max(*came)));
            late = late.max(after.max().unwrap_or_default());
        }
    }
    (late, lost)
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
