//! How two configurations differ: which settings, and which of these hold from the start to the end of a
//! process.

use std::collections::BTreeMap;

use super::Config;
use super::file::{AuthSection, File, HttpSection, LimitSection, LogSection};

/// A setting that two files have.
struct Setting {
    key: &'static str,
    is_other: bool,
    holds: Holds,
}

/// From when on another value of a setting holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holds {
    Now,
    AfterRestart,
}

use Holds::{AfterRestart, Now};

/// The settings of a section, each with when it holds. All of its fields stand here: whoever adds one decides.
macro_rules! settings {
    ($old:expr, $new:expr, $section:literal, { $($field:ident: $holds:expr,)* }, without { $($other:ident),* }) => {{
        let Self { $($field,)* $($other: _,)* } = $old;
        vec![$(Setting {
            key: concat!($section, stringify!($field)),
            is_other: *$field != $new.$field,
            holds: $holds,
        },)*]
    }};
}

impl Config {
    /// What another configuration has other than this one: settings by their keys, models and plans by their
    /// names, files by who names them. No value.
    #[must_use]
    pub fn changes(&self, new: &Self) -> Vec<String> {
        let settings = self.file.settings(&new.file).into_iter();
        let settings = settings.filter(|setting| setting.is_other);
        let mut changes: Vec<_> = settings.map(|setting| setting.key.to_owned()).collect();
        changes.extend(by_name(
            "limits.plans",
            &self.file.limits.plans,
            &new.file.limits.plans,
        ));
        changes.extend(by_name("models", &self.file.models, &new.file.models));
        let contents = self.sources.other_contents(&new.sources);
        changes.extend(contents.map(str::to_owned));
        changes
    }
}

/// Those that came, went or are other.
fn by_name<T: PartialEq>(
    section: &str,
    old: &BTreeMap<String, T>,
    new: &BTreeMap<String, T>,
) -> Vec<String> {
    let kept = old.iter().filter_map(|(name, one)| match new.get(name) {
        None => Some(format!("{section}.{name} (gone)")),
        Some(other) if other != one => Some(format!("{section}.{name}")),
        Some(_) => None,
    });
    let came = new.keys().filter(|name| !old.contains_key(*name));
    let came = came.map(|name| format!("{section}.{name} (new)"));
    kept.chain(came).collect()
}

impl File {
    /// The settings that differ and need a restart.
    #[must_use]
    pub fn needs_restart(&self, new: &Self) -> Vec<&'static str> {
        let settings = self.settings(new).into_iter();
        let changed = settings.filter(|it| it.is_other && it.holds == AfterRestart);
        changed.map(|setting| setting.key).collect()
    }

    /// All settings but models and plans, which have names of their own.
    fn settings(&self, new: &Self) -> Vec<Setting> {
        // Other files are read again, and shown if there is TLS at all.
        let tls_holds = if self.tls.is_some() == new.tls.is_some() {
            Now
        } else {
            AfterRestart
        };
        let mut all = settings!(self, new, "", {
            bind: AfterRestart,
            workers: AfterRestart,
            max_connections: AfterRestart,
            public_url: Now,
            allowed_origins: Now,
            trusted_proxies: Now,
            drain_delay: AfterRestart,
            drain_timeout: AfterRestart,
            watch_interval: AfterRestart,
            default_model: Now,
            upstream: Now,
            tls: tls_holds,
            generation: AfterRestart,
            store: AfterRestart,
            memory: AfterRestart,
            redis: AfterRestart,
            traces: AfterRestart,
            metrics: AfterRestart,
            playground: AfterRestart,
            monitor: AfterRestart,
        }, without { log, http, auth, limits, models });
        all.extend(self.log.settings(&new.log));
        all.extend(self.http.settings(&new.http));
        all.extend(self.auth.settings(&new.auth));
        all.extend(self.limits.settings(&new.limits));
        all
    }
}

impl LogSection {
    fn settings(&self, new: &Self) -> Vec<Setting> {
        settings!(self, new, "log.", {
            format: AfterRestart,
            level: Now,
        }, without {})
    }
}

impl HttpSection {
    fn settings(&self, new: &Self) -> Vec<Setting> {
        settings!(self, new, "http.", {
            heartbeat: Now,
            body_limit: Now,
            body_timeout: Now,
            head_timeout: AfterRestart,
            keep_alive: AfterRestart,
            peer_timeout: AfterRestart,
        }, without {})
    }
}

impl AuthSection {
    fn settings(&self, new: &Self) -> Vec<Setting> {
        // Without a file there is no secret that another lifetime could be used with.
        let tickets_hold = match new.ticket_secret_file {
            Some(_) => Now,
            None => AfterRestart,
        };
        settings!(self, new, "auth.", {
            issuers: Now,
            audiences: Now,
            leeway: Now,
            required_claims: Now,
            cookie: AfterRestart,
            ticket_lifetime: tickets_hold,
            ticket_secret_file: tickets_hold,
            scopes: Now,
            jwks: Now,
            keys: Now,
        }, without {})
    }
}

impl LimitSection {
    fn settings(&self, new: &Self) -> Vec<Setting> {
        settings!(self, new, "limits.", {
            max_streams: AfterRestart,
            max_principals: AfterRestart,
            default_reservation: Now,
            failed_authentications_per_minute: AfterRestart,
            default_plan: Now,
        }, without { plans })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPERATIONS: &str = include_str!("../../docs/operations.md");

    /// The table of what a reload takes names each setting, or its section, on the right side.
    #[test]
    fn what_a_reload_takes_is_documented() {
        let table = OPERATIONS.split("| taken at once |").nth(1).unwrap();
        let table = table.split("\n\n").next().unwrap();
        let sides = |row: &str| -> (String, String) {
            let cells: Vec<_> = row.split('|').map(str::to_owned).collect();
            (cells[1].clone(), cells[2].clone())
        };
        let (mut now, mut later) = (String::new(), String::new());
        for row in table.lines().skip(2) {
            let (left, right) = sides(row);
            now += &left;
            later += &right;
        }
        let file = File::default();
        let settings = file.settings(&file);
        assert!(settings.len() > 40, "{}", settings.len());
        for Setting { key, holds, .. } in settings {
            let (here, there) = if holds == Now {
                (&now, &later)
            } else {
                (&later, &now)
            };
            let section = key.split_once('.').map(|(section, _)| section);
            let name = key.split_once('.').map_or(key, |(_, name)| name);
            let own = [
                format!("`{key}`"),
                format!("`{name}`"),
                format!("`[{key}]`"),
            ];
            let is_named = |side: &str| own.iter().any(|word| side.contains(word));
            // Its section stands for those of it that are named nowhere.
            let is_there = if is_named(here) || is_named(there) {
                is_named(here)
            } else {
                section.is_some_and(|section| here.contains(&format!("`[{section}]`")))
            };
            assert!(is_there, "{key} is not where {holds:?} stands: {here}");
        }
    }
}
