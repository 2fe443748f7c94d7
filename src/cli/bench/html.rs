//! The findings as a page that needs nothing but itself: no script, no font, no picture from elsewhere.

use std::fmt::{self, Display, Formatter};

use super::json::Document;
use super::table::{HEADS, described, facts, of, times};
use super::verdict::{capital, first, unit, verdict};
use crate::load::{Api, Moment};
use crate::plot::{Chart, Count, Figure, Line, Text, mib};

const STYLE: &str = include_str!("html/style.css");

/// Writes the page.
pub(super) fn html(document: &Document<'_>) -> String {
    Page(document).to_string()
}

struct Page<'a>(&'a Document<'a>);

impl Display for Page<'_> {
    fn fmt(&self, to: &mut Formatter<'_>) -> fmt::Result {
        let document = self.0;
        let found = document.findings;
        let host = host(document.url);
        let host = Text(host);
        let verdict = verdict(found);
        write!(
            to,
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
             <title>Load test of {host}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
             <header>\n<h1>Load test of {host}</h1>\n<p class=\"verdict {}\">{}</p>\n<p>{}</p>\n",
            verdict.kind,
            Text(&verdict.text),
            Text(&described(&found.plan)),
        )?;
        self.terms(to)?;
        to.write_str("</header>\n<main>\n")?;
        self.tiles(to)?;
        if !found.warnings.is_empty() {
            to.write_str("<ul class=\"warnings\">\n")?;
            for warning in &found.warnings {
                writeln!(to, "<li>{}</li>", Text(warning))?;
            }
            to.write_str("</ul>\n")?;
        }
        to.write_str("<section class=\"charts\">\n")?;
        for chart in self.charts() {
            write!(to, "{chart}")?;
        }
        to.write_str("</section>\n")?;
        if found.timeline.iter().any(|moment| !moment.measured) {
            to.write_str(
                "<p class=\"note\">What stands on grey was before or after what is measured.</p>\n",
            )?;
        }
        self.tables(to)?;
        to.write_str("</main>\n</body>\n</html>\n")
    }
}

/// Where a URL leads, without what it is asked for there.
fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_scheme, rest)| rest);
    rest.split('/').next().unwrap_or(rest)
}

impl Page<'_> {
    /// What was measured, when and how.
    fn terms(&self, to: &mut Formatter<'_>) -> fmt::Result {
        let document = self.0;
        let api = match document.findings.plan.api {
            Api::Native => "Tailrace",
            Api::OpenAi => "OpenAI chat completions",
            Api::Sse => "Server-Sent Events",
        };
        let client = format!("{} on {}", document.program, document.findings.machine);
        let written = document.written.replace('T', " ").replace('Z', " UTC");
        let terms = [
            ("Ended", Some(written.as_str())),
            ("URL", Some(document.url)),
            ("API", Some(api)),
            ("Model", document.model.or(Some("none was named"))),
            ("Client", Some(client.as_str())),
        ];
        to.write_str("<dl>\n")?;
        for (name, text) in terms {
            if let Some(text) = text {
                writeln!(to, "<div><dt>{name}</dt><dd>{}</dd></div>", Text(text))?;
            }
        }
        let command = Text(&document.command);
        write!(
            to,
            "<div><dt>Command</dt><dd><code>{command}</code></dd></div>\n</dl>\n"
        )
    }

    /// What everybody looks for first.
    fn tiles(&self, to: &mut Formatter<'_>) -> fmt::Result {
        let found = self.0.findings;
        let unit = unit(&found.plan);
        let mut tiles = vec![(
            format!("{} a second", capital(unit)),
            Figure(found.tokens.per_second).to_string(),
            format!("{} in all", Count(found.tokens.count)),
        )];
        let of_times = [
            (capital(first(&found.plan)), found.first_token_ms),
            (format!("Gap between {unit}"), found.gap_ms),
        ];
        for (name, summary) in of_times {
            if let Some(summary) = summary {
                tiles.push((
                    format!("{name}, p99"),
                    format!("{} ms", Figure(summary.p99)),
                    format!("half of them within {} ms", Figure(summary.p50)),
                ));
            }
        }
        let streams = &found.streams;
        tiles.push((
            "Failed".to_owned(),
            Count(streams.failed).to_string(),
            format!("{} streams started", Count(streams.started)),
        ));
        for process in &found.processes {
            if let Some(cpu) = process.cpu_us_per_token {
                tiles.push((
                    format!("CPU of {}", process.name),
                    format!("{} us", Figure(cpu)),
                    format!("per token, {} % of a core", Figure(process.cpu_percent)),
                ));
            }
        }
        to.write_str("<section class=\"tiles\">\n")?;
        for (name, figure, more) in &tiles {
            writeln!(
                to,
                "<div><h2>{}</h2><strong>{}</strong><span>{}</span></div>",
                Text(name),
                Text(figure),
                Text(more)
            )?;
        }
        to.write_str("</section>\n")
    }

    fn tables(&self, to: &mut Formatter<'_>) -> fmt::Result {
        let found = self.0.findings;
        let times = times(found);
        if !times.is_empty() {
            to.write_str("<section>\n<h2>Times, in milliseconds</h2>\n<div class=\"wide\" tabindex=\"0\"><table>\n<tr><th></th>")?;
            for head in HEADS {
                write!(to, "<th>{head}</th>")?;
            }
            to.write_str("<th>number</th></tr>\n")?;
            for (name, summary) in times {
                write!(to, "<tr><th>{name}</th>")?;
                for time in of(&summary) {
                    write!(to, "<td>{}</td>", Figure(time))?;
                }
                writeln!(to, "<td>{}</td></tr>", Count(summary.count))?;
            }
            to.write_str("</table></div>\n</section>\n")?;
        }
        to.write_str("<section>\n<h2>Counts</h2>\n<div class=\"wide\" tabindex=\"0\"><table class=\"facts\">\n")?;
        for (name, text) in facts(found) {
            writeln!(
                to,
                "<tr><th>{}</th><td>{}</td></tr>",
                Text(&name),
                Text(&text)
            )?;
        }
        to.write_str("</table></div>\n</section>\n")
    }

    fn charts(&self) -> Vec<Chart> {
        let found = self.0.findings;
        let moments = &found.timeline;
        let mut befores = std::iter::once(0.0).chain(moments.iter().map(|moment| moment.at));
        let lengths: Vec<f64> = moments
            .iter()
            .map(|moment| moment.at - befores.next().unwrap_or_default())
            .collect();
        let at: Vec<f64> = moments.iter().map(|moment| moment.at).collect();
        let measured: Vec<bool> = moments.iter().map(|moment| moment.measured).collect();
        let chart = |title: String, unit: &'static str, lines: Vec<Line>| {
            Chart::new(title, unit, &at, &measured, lines)
        };
        let of = |name: &str, value: &dyn Fn(&Moment) -> Option<f64>| Line {
            name: name.to_owned(),
            values: moments.iter().map(value).collect(),
        };
        let each_second = |name: &str, value: &dyn Fn(&Moment) -> u64| Line {
            name: name.to_owned(),
            values: moments
                .iter()
                .zip(&lengths)
                .map(|(moment, length)| Some(value(moment) as f64 / length.max(0.001)))
                .collect(),
        };
        let unit = unit(&found.plan);
        let first = capital(first(&found.plan));
        let mut charts = vec![
            chart(
                format!("{} a second", capital(unit)),
                "",
                vec![each_second(unit, &|moment| moment.tokens)],
            ),
            chart(
                first,
                "ms",
                vec![
                    of("p50", &|moment| moment.first_token_p50_ms),
                    of("p99", &|moment| moment.first_token_p99_ms),
                ],
            ),
            chart(
                format!("Gaps between {unit}"),
                "ms",
                vec![
                    of("p50", &|moment| moment.gap_p50_ms),
                    of("p99", &|moment| moment.gap_p99_ms),
                ],
            ),
            chart(
                "Open streams".to_owned(),
                "",
                vec![of("open", &|moment| Some(moment.open as f64))],
            ),
            chart(
                "Streams a second".to_owned(),
                "",
                vec![
                    each_second("started", &|moment| moment.started),
                    each_second("finished", &|moment| moment.finished),
                ],
            ),
        ];
        let counts = &found.counts;
        if found.streams.failed + counts.cuts + counts.broken > 0 {
            charts.push(chart(
                "Failures and cuts a second".to_owned(),
                "",
                vec![
                    each_second("failed", &|moment| moment.failed),
                    each_second("connections cut by us", &|moment| moment.cut),
                    each_second("broken by others", &|moment| moment.broken),
                ],
            ));
        }
        let names = found.processes.iter().enumerate();
        let names: Vec<(usize, String)> = names
            .map(|(at, process)| (at, format!("{} {}", process.name, process.pid)))
            .collect();
        let mut cpu = vec![of("this program", &|moment| {
            Some(moment.client_cpu_percent)
        })];
        let (mut memory, mut descriptors) = (Vec::new(), Vec::new());
        for (at, name) in &names {
            let seen = |moment: &Moment| moment.processes.get(*at).copied().flatten();
            cpu.push(of(name, &|moment| Some(seen(moment)?.cpu_percent)));
            memory.push(of(name, &|moment| Some(mib(seen(moment)?.resident_bytes))));
            descriptors.push(of(name, &|moment| Some(seen(moment)?.descriptors as f64)));
        }
        charts.push(chart("CPU".to_owned(), "% of a core", cpu));
        if !names.is_empty() {
            charts.push(chart("Memory".to_owned(), "MiB", memory));
            charts.push(chart("Open files and sockets".to_owned(), "", descriptors));
        }
        charts
    }
}
