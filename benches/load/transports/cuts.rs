//! What a cut costs: readers whose connections are reset in the middle of anything, again and again.

use std::time::Duration;

use anyhow::ensure;
use serde::Serialize;

use super::reader::{Cuts, Reader};
use super::scene::{Scene, block_on, finish};
use super::seen::Story;
use super::transport::{Resume, Transport};
use crate::machine::Cores;

/// Over how long the streams start.
const START: Duration = Duration::from_millis(500);

/// A reader, and how it goes on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Case {
    pub(super) transport: Transport,
    pub(super) resume: Resume,
}

impl Case {
    /// All that are compared.
    pub(super) const ALL: [Self; 6] = [
        Self::with_cursor(Transport::Sse),
        Self::with_cursor(Transport::Ndjson),
        Self::with_cursor(Transport::WebSocket),
        Self::with_cursor(Transport::LongPolling(Duration::ZERO)),
        Self {
            transport: Transport::WebSocket,
            resume: Resume::Live,
        },
        Self {
            transport: Transport::WebSocket,
            resume: Resume::Start,
        },
    ];

    const fn with_cursor(transport: Transport) -> Self {
        Self {
            transport,
            resume: Resume::Cursor,
        }
    }

    /// Its name in the table.
    pub(super) fn name(self) -> String {
        let how = match self.resume {
            Resume::Cursor => "",
            Resume::Live => " without a cursor: goes on with what comes",
            Resume::Start => " without a cursor: from the start again",
        };
        format!("{}{how}", self.transport.name())
    }
}

/// What all readers of a case met.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Figures {
    pub(super) reader: String,
    pub(super) streams: usize,
    pub(super) events: usize,
    pub(super) cuts: u64,
    pub(super) lost: usize,
    pub(super) doubled: u32,
    pub(super) catching_up_p50_ms: f64,
    pub(super) catching_up_p99_ms: f64,
    pub(super) bytes_up_per_cut: f64,
    pub(super) bytes_down_per_cut: f64,
    pub(super) thrown_away_per_cut: f64,
}

/// Cuts the readers of so many streams of so many tokens. Fails if one with a cursor lost anything or
/// saw it twice.
pub(super) fn measure(
    case: Case,
    streams: u32,
    tokens: u32,
    cores: Cores,
) -> anyhow::Result<Figures> {
    let scene = Scene::start(cores)?;
    let stories = block_on(async {
        scene.warm_up(case.transport).await?;
        let mut readers = Vec::new();
        let read = |stream| {
            let reader = Reader::new(&scene.site, case.transport, stream, &scene.seen);
            let number = readers.len() as u64;
            readers.push(reader.with_cuts(Cuts::of(number), case.resume).spawn());
        };
        scene.each_stream(streams, tokens, START, read).await?;
        finish(readers).await
    })?;
    // The start and the end are events too.
    let events = tokens as usize + 2;
    let found = figures(case, &stories, events);
    ensure!(found.cuts > 0, "nothing was cut");
    if case.resume == Resume::Cursor {
        ensure!(
            found.lost == 0,
            "{}: {} events lost",
            case.name(),
            found.lost
        );
        let doubled = found.doubled;
        ensure!(doubled == 0, "{}: {doubled} events doubled", case.name());
    }
    Ok(found)
}

fn figures(case: Case, stories: &[Story], events: usize) -> Figures {
    let sum = |of: fn(&Story) -> u64| stories.iter().map(of).sum::<u64>();
    let cuts = sum(|story| story.cuts);
    let per_cut = |of: fn(&Story) -> u64| sum(of) as f64 / cuts as f64;
    let mut times: Vec<Duration> = stories
        .iter()
        .flat_map(|story| story.catching_up.iter().copied())
        .collect();
    times.sort();
    let quantile = |percent: usize| {
        let time = times.get(times.len() * percent / 100);
        time.map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
    };
    Figures {
        reader: case.name(),
        streams: stories.len(),
        events: stories.len() * events,
        cuts,
        lost: stories.iter().map(|story| story.lost(events)).sum(),
        doubled: stories.iter().map(Story::doubled).sum(),
        catching_up_p50_ms: quantile(50),
        catching_up_p99_ms: quantile(99),
        bytes_up_per_cut: per_cut(|story| story.asked_again),
        bytes_down_per_cut: per_cut(|story| story.answered_again),
        thrown_away_per_cut: per_cut(|story| story.thrown_away),
    }
}
