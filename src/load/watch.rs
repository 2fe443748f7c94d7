//! Looks at the clock and at processes while a load runs, and says at its end what was found.

use std::time::{Duration, Instant};

use super::findings::{Client, Counts, Findings, Memory, ProcessUsage, Streams, Tokens};
use super::quantiles::Quantiles;
use super::recorder::Recorder;
use super::refusal::Refused;
use super::run::Load;
use super::timeline::{Moment, Seen};
use super::usage::{self, Usage};
use super::warnings::{about_machine, about_nothing, warnings};

/// From this part of a core on, this program may be what is measured.
const SATURATED_PERCENT: f64 = 90.0;

/// What was used up to a moment.
#[derive(Clone)]
struct Sample {
    at: Instant,
    processes: Vec<Usage>,
    client: Usage,
    busy_seconds: Option<f64>,
}

/// A process that is watched.
struct Watched {
    pid: u32,
    name: String,
    /// By which it is told from another one of its id.
    started: Option<u64>,
    memory: Memory,
}

pub(super) struct Watch {
    watched: Vec<Watched>,
    /// How many seconds are over.
    seconds: u64,
    /// At the beginning of the second under way.
    second: Sample,
    began: Option<Sample>,
    ended: Option<Sample>,
    moments: Vec<Moment>,
    lag: Quantiles,
}

impl Watched {
    fn is_gone(&self) -> bool {
        self.started.is_none() || usage::started(self.pid) != self.started
    }
}

impl Watch {
    /// Looks at these processes before there is any load.
    pub(super) fn start(pids: &[u32]) -> Self {
        let watched: Vec<Watched> = pids
            .iter()
            .map(|pid| Watched {
                pid: *pid,
                name: usage::name(*pid).unwrap_or_default(),
                started: usage::started(*pid),
                memory: Memory {
                    resident_before: Usage::of(*pid).unwrap_or_default().resident_bytes,
                    proportional_before: usage::proportional_bytes(*pid),
                    ..Memory::default()
                },
            })
            .collect();
        Self {
            seconds: 0,
            second: sample(&watched, None),
            watched,
            began: None,
            ended: None,
            moments: Vec::new(),
            lag: Quantiles::fine(),
        }
    }

    /// The clock was looked at so long after it should have been.
    pub(super) fn lag(&mut self, lag: Duration) {
        if self.began.is_some() && self.ended.is_none() {
            self.lag.add(lag);
        }
    }

    /// So much time has passed.
    pub(super) fn tick(&mut self, load: &Load, elapsed: Duration) {
        if elapsed.as_secs() > self.seconds {
            self.seconds = elapsed.as_secs();
            self.moment(load, elapsed);
        }
        if self.began.is_none() && elapsed >= load.plan.warm_up {
            load.recorder.borrow_mut().measuring = true;
            self.began = Some(sample(&self.watched, Some(&self.second)));
        }
        if self.began.is_some() && self.ended.is_none() && elapsed >= load.plan.length() {
            self.end(load);
        }
    }

    /// What is measured ends here.
    fn end(&mut self, load: &Load) {
        let mut recorder = load.recorder.borrow_mut();
        recorder.measuring = false;
        let latest = match &self.began {
            Some(began) if began.at > self.second.at => began,
            _ => &self.second,
        };
        let sample = sample(&self.watched, Some(latest));
        for (watched, usage) in self.watched.iter_mut().zip(&sample.processes) {
            watched.memory.resident = usage.resident_bytes;
            watched.memory.streams = recorder.open;
        }
        self.ended = Some(sample);
        for watched in &mut self.watched {
            let is_there = !watched.is_gone();
            watched.memory.proportional = is_there
                .then(|| usage::proportional_bytes(watched.pid))
                .flatten();
        }
    }

    /// A second is over.
    fn moment(&mut self, load: &Load, elapsed: Duration) {
        let now = sample(&self.watched, Some(&self.second));
        let seconds = (now.at - self.second.at).as_secs_f64();
        let percent = |now: &Usage, before: &Usage| {
            100.0 * (now.cpu_seconds() - before.cpu_seconds()) / seconds
        };
        let seen = now.processes.iter().zip(&self.second.processes);
        let seen = self.watched.iter_mut().zip(seen);
        let seen = seen.map(|(watched, (usage, before))| {
            let most = &mut watched.memory.resident_most;
            *most = usage.resident_bytes.max(*most);
            (!watched.is_gone()).then(|| Seen {
                cpu_percent: percent(usage, before),
                resident_bytes: usage.resident_bytes,
                descriptors: usage.descriptors,
                threads: usage.threads,
            })
        });
        let seen = seen.collect();
        let client = percent(&now.client, &self.second.client);
        let mut recorder = load.recorder.borrow_mut();
        let (measured, open) = (recorder.measuring, recorder.open);
        let at = elapsed.as_secs_f64();
        let moment = recorder.second.take(at, measured, open, seen, client);
        self.moments.push(moment);
        self.second = now;
    }

    /// The load is over.
    pub(super) fn stop(
        mut self,
        load: &Load,
        elapsed: Duration,
        interrupted: bool,
        refused: Option<Refused>,
    ) -> Findings {
        if self.ended.is_none() {
            self.end(load);
        }
        let last = self.moments.last().map_or(0.0, |moment| moment.at);
        if elapsed.as_secs_f64() - last > 0.1 {
            self.moment(load, elapsed);
        }
        let ended = self.ended.take().unwrap_or_else(|| self.second.clone());
        let began = self.began.take().unwrap_or_else(|| ended.clone());
        let recorder = load.recorder.borrow();
        let seconds = (ended.at - began.at).as_secs_f64();
        let tokens = recorder.measured_tokens as f64;
        let per_second = |number: f64| if seconds > 0.0 { number / seconds } else { 0.0 };
        let per_token = |cpu: f64| (tokens > 0.0).then(|| cpu * 1e6 / tokens);
        let processes = self.watched.into_iter().zip(&began.processes);
        let processes = processes.zip(&ended.processes);
        let processes: Vec<ProcessUsage> = processes
            .map(|((watched, before), after)| {
                let cpu = after.cpu_seconds() - before.cpu_seconds();
                ProcessUsage {
                    pid: watched.pid,
                    ended: watched.is_gone(),
                    name: watched.name,
                    cpu_seconds: cpu,
                    kernel_seconds: after.kernel_seconds - before.kernel_seconds,
                    cpu_percent: 100.0 * per_second(cpu),
                    cpu_us_per_token: per_token(cpu),
                    memory: watched.memory,
                }
            })
            .collect();
        let gone: Vec<String> = (processes.iter())
            .filter(|process| process.ended)
            .map(|process| format!("{} {}", process.name, process.pid))
            .collect();
        let client_cpu = ended.client.cpu_seconds() - began.client.cpu_seconds();
        let client = Client {
            cpu_percent: 100.0 * per_second(client_cpu),
            cpu_us_per_token: per_token(client_cpu),
            lag_ms: self.lag.ms(1.0).unwrap_or_default(),
            saturated: 100.0 * per_second(client_cpu) > SATURATED_PERCENT,
        };
        let known: f64 = processes.iter().map(|process| process.cpu_seconds).sum();
        let busy = ended.busy_seconds.zip(began.busy_seconds);
        let others = busy.map(|(ended, began)| (ended - began - known - client_cpu).max(0.0));
        let cores = usage::cores();
        let full = busy.map(|(ended, began)| 100.0 * per_second(ended - began) / cores as f64);
        let streams = streams(&recorder);
        let is_void = streams.are_void(recorder.tokens);
        let nothing = about_nothing(interrupted, &streams, &recorder);
        let mut findings = Findings {
            plan: load.plan.clone(),
            machine: usage::machine(),
            interrupted,
            wrong: is_void && !interrupted,
            warnings: {
                let refused = refused.as_ref();
                let of_server = warnings(
                    interrupted,
                    &load.plan,
                    &recorder,
                    &streams,
                    &client,
                    refused,
                );
                about_machine(&gone, full, &recorder)
                    .chain(nothing.map(ToOwned::to_owned))
                    .chain(of_server)
                    .collect()
            },
            seconds: elapsed.as_secs_f64(),
            measured_seconds: seconds,
            streams,
            failures: recorder.failures.clone(),
            failure_texts: recorder.failure_texts.clone(),
            refused,
            counts: counts(load, &recorder),
            tokens: Tokens {
                count: recorder.measured_tokens,
                per_second: per_second(tokens),
                bytes_each: (tokens > 0.0).then(|| recorder.measured_bytes as f64 / tokens),
                streams_per_second: per_second(recorder.measured_streams as f64),
            },
            first_token_ms: recorder.first_token.summary(),
            gap_ms: recorder.gap.summary(),
            stream_ms: recorder.stream.summary(),
            lateness_ms: recorder.lateness.summary(),
            age_ms: recorder.age.summary(),
            resume_ms: recorder.resume.summary(),
            processes,
            client,
            others_cpu_percent: others.map(|others| 100.0 * per_second(others)),
            timeline: self.moments,
        };
        findings.wrong |= findings.has_failed();
        findings
    }
}

/// A process that cannot be seen any more has used what it had used before.
fn sample(watched: &[Watched], before: Option<&Sample>) -> Sample {
    let earlier = |at: usize| before.and_then(|before| before.processes.get(at).copied());
    let usage = |(at, watched): (usize, &Watched)| {
        let usage = Usage::of_same(watched.pid, watched.started);
        usage.or_else(|| earlier(at)).unwrap_or_default()
    };
    Sample {
        at: Instant::now(),
        processes: watched.iter().enumerate().map(usage).collect(),
        client: Usage::of(std::process::id()).unwrap_or_default(),
        busy_seconds: usage::busy_seconds(),
    }
}

fn streams(recorder: &Recorder) -> Streams {
    Streams {
        started: recorder.started,
        finished: recorder.finished,
        cancelled: recorder.cancelled,
        failed: recorder.all_failed(),
        lost: recorder.lost,
        unfinished: recorder.unfinished,
    }
}

fn counts(load: &Load, recorder: &Recorder) -> Counts {
    Counts {
        connections: load.target.client.connections() + load.target.readers.connections(),
        cuts: recorder.cuts,
        broken: recorder.broken,
        resumed: recorder.resumed,
        bad_requests: recorder.bad_requests,
        events: recorder.events,
        events_lost: recorder.events_lost,
        events_doubled: recorder.events_doubled,
        tokens: recorder.tokens,
        bytes: recorder.bytes,
    }
}
