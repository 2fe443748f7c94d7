//! Tickets: credentials that can read one stream and nothing else, for `EventSource` URLs.
//!
//! A ticket is a JWT of a type of its own under a key of its own, so it is never mistaken for a
//! bearer token, nor a bearer token for a ticket.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};

use super::{AuthError, Viewer};
use crate::stream::{Owner, StreamId};

const TYPE: &str = "tailrace-ticket+jwt";

/// No ticket is longer, in bytes.
const MAX_TICKET_BYTES: usize = 4096;

/// Signs and verifies tickets.
pub struct TicketKey {
    encoding: EncodingKey,
    decoding: DecodingKey,
    lifetime: Duration,
}

/// A ticket that was just made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    /// Its text.
    pub token: String,
    /// When it ends, in seconds since the Unix epoch.
    pub expires_at: u64,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    stream: StreamId,
    iss: String,
    sub: String,
    exp: u64,
}

impl TicketKey {
    /// Tickets under this secret (at least 32 random bytes), valid for `lifetime`.
    #[must_use]
    pub fn new(secret: &[u8], lifetime: Duration) -> Self {
        Self {
            encoding: EncodingKey::from_secret(secret),
            decoding: DecodingKey::from_secret(secret),
            lifetime,
        }
    }

    /// Makes a ticket for one stream of one owner.
    ///
    /// # Errors
    /// The library failed to sign; it never does with a secret.
    pub fn issue(&self, owner: &Owner, stream: StreamId) -> Result<Ticket, AuthError> {
        let expires_at = now().saturating_add(self.lifetime.as_secs());
        let claims = Claims {
            stream,
            iss: owner.issuer.to_string(),
            sub: owner.subject.to_string(),
            exp: expires_at,
        };
        let header = Header {
            typ: Some(TYPE.to_owned()),
            ..Header::new(Algorithm::HS256)
        };
        let token = jsonwebtoken::encode(&header, &claims, &self.encoding)
            .map_err(|_| AuthError::Invalid)?;
        Ok(Ticket { token, expires_at })
    }

    /// Verifies a ticket now.
    ///
    /// # Errors
    /// It is not one of ours, or it has expired.
    pub fn verify(&self, ticket: &str) -> Result<Viewer, AuthError> {
        if ticket.len() > MAX_TICKET_BYTES {
            return Err(AuthError::TooLong);
        }
        let mut validation = Validation::new(Algorithm::HS256);
        validation.validate_exp = false;
        validation.validate_aud = false;
        let ticket = jsonwebtoken::decode::<Claims>(ticket, &self.decoding, &validation)
            .map_err(|_| AuthError::Invalid)?;
        if ticket.header.typ.as_deref() != Some(TYPE) {
            return Err(AuthError::Invalid);
        }
        if now() >= ticket.claims.exp {
            return Err(AuthError::Expired);
        }
        Ok(Viewer {
            owner: Owner {
                issuer: ticket.claims.iss.into(),
                subject: ticket.claims.sub.into(),
            },
            only: Some(ticket.claims.stream),
        })
    }
}

fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner() -> Owner {
        Owner {
            issuer: "i".into(),
            subject: "s".into(),
        }
    }

    #[test]
    fn a_ticket_reads_its_stream_and_no_other() {
        let key = TicketKey::new(&[7; 32], Duration::from_secs(60));
        let (mine, other) = (StreamId::generate(), StreamId::generate());
        let viewer = key
            .verify(&key.issue(&owner(), mine).unwrap().token)
            .unwrap();
        assert_eq!(viewer.owner(), &owner());
        assert!(viewer.may_read(mine));
        assert!(!viewer.may_read(other));
    }

    #[test]
    fn foreign_expired_and_mistyped_tickets_are_refused() {
        let key = TicketKey::new(&[7; 32], Duration::from_secs(60));
        let stream = StreamId::generate();
        let foreign = TicketKey::new(&[8; 32], Duration::from_secs(60));
        let token = foreign.issue(&owner(), stream).unwrap().token;
        assert_eq!(key.verify(&token), Err(AuthError::Invalid));
        let expired = TicketKey::new(&[7; 32], Duration::ZERO);
        let token = expired.issue(&owner(), stream).unwrap().token;
        assert_eq!(key.verify(&token), Err(AuthError::Expired));
        let claims = Claims {
            stream,
            iss: String::new(),
            sub: "s".into(),
            exp: u64::MAX,
        };
        let bearer =
            jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key.encoding).unwrap();
        assert_eq!(key.verify(&bearer), Err(AuthError::Invalid));
    }
}
