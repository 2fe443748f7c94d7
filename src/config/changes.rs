//! What of a configuration holds from the start to the end of a process.

use super::file::{AuthSection, File, HttpSection, LimitSection, LogSection};

impl File {
    /// The settings that differ and need a restart. Whoever adds a setting decides here.
    #[must_use]
    pub fn needs_restart(&self, new: &Self) -> Vec<&'static str> {
        let Self {
            bind,
            workers,
            max_connections,
            public_url: _,
            allowed_origins: _,
            trusted_proxies: _,
            drain_delay,
            drain_timeout,
            watch_interval,
            default_model: _,
            upstream: _,
            log: LogSection { format, level: _ },
            metrics,
            traces,
            tls,
            http,
            auth,
            limits,
            generation,
            store,
            memory,
            redis,
            playground,
            monitor,
            models: _,
        } = self;
        let mut changed = vec![
            ("bind", *bind != new.bind),
            ("workers", *workers != new.workers),
            ("max_connections", *max_connections != new.max_connections),
            ("drain_delay", *drain_delay != new.drain_delay),
            ("drain_timeout", *drain_timeout != new.drain_timeout),
            ("watch_interval", *watch_interval != new.watch_interval),
            ("log.format", *format != new.log.format),
            // Other files are read again, and shown if there is TLS at all.
            ("tls", tls.is_some() != new.tls.is_some()),
            ("generation", *generation != new.generation),
            ("store", *store != new.store),
            ("memory", *memory != new.memory),
            ("redis", *redis != new.redis),
            ("traces", *traces != new.traces),
            ("metrics", *metrics != new.metrics),
            ("playground", *playground != new.playground),
            ("monitor", *monitor != new.monitor),
        ];
        changed.extend(http.fixed(&new.http));
        changed.extend(auth.fixed(&new.auth));
        changed.extend(limits.fixed(&new.limits));
        let changed = changed.into_iter().filter(|(_, is_other)| *is_other);
        changed.map(|(key, _)| key).collect()
    }
}

impl HttpSection {
    fn fixed(&self, new: &Self) -> [(&'static str, bool); 3] {
        let Self {
            heartbeat: _,
            body_limit: _,
            body_timeout: _,
            head_timeout,
            keep_alive,
            peer_timeout,
        } = self;
        [
            ("http.head_timeout", *head_timeout != new.head_timeout),
            ("http.keep_alive", *keep_alive != new.keep_alive),
            ("http.peer_timeout", *peer_timeout != new.peer_timeout),
        ]
    }
}

impl AuthSection {
    fn fixed(&self, new: &Self) -> [(&'static str, bool); 2] {
        let Self {
            issuers: _,
            audiences: _,
            leeway: _,
            required_claims: _,
            cookie,
            ticket_lifetime: _,
            ticket_secret_file: _,
            scopes: _,
            jwks: _,
            keys: _,
        } = self;
        // Without a file there is no secret that another lifetime could be used with.
        let is_kept = new.ticket_secret_file.is_none()
            && (self.ticket_secret_file.is_some() || self.ticket_lifetime != new.ticket_lifetime);
        [
            ("auth.cookie", *cookie != new.cookie),
            ("auth.ticket_lifetime, auth.ticket_secret_file", is_kept),
        ]
    }
}

impl LimitSection {
    fn fixed(&self, new: &Self) -> [(&'static str, bool); 3] {
        let Self {
            max_streams,
            max_principals,
            default_reservation: _,
            failed_authentications_per_minute: failures,
            default_plan: _,
            plans: _,
        } = self;
        [
            ("limits.max_streams", *max_streams != new.max_streams),
            (
                "limits.max_principals",
                *max_principals != new.max_principals,
            ),
            (
                "limits.failed_authentications_per_minute",
                *failures != new.failed_authentications_per_minute,
            ),
        ]
    }
}
