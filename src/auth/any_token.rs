//! What must hold of any token, of any claims and of any header: for property tests and for `fuzz/`.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::EncodingKey;
use serde_json::Value;

use super::{Algorithm, JwtConfig, JwtVerifier, KeyConfig, KeyMaterial, KeySet, TicketKey};

const SECRET: &[u8] = b"a secret of at least thirty-two bytes, that nobody guesses";
const ISSUER: &str = "https://issuer";
const AUDIENCE: &str = "tailrace";
const LEEWAY: u64 = 30;

/// When the tokens are verified, in seconds since the Unix epoch.
pub const NOW: u64 = 1_800_000_000;

const HEADER: &[u8] = br#"{"alg":"HS256","kid":"k"}"#;
const CLAIMS: &[u8] =
    br#"{"iss":"https://issuer","aud":"tailrace","sub":"ann","exp":1800000060,"scope":"a b"}"#;

/// The first byte says what the others are: a token as it is sent, the claims of one that the issuer
/// has signed, or its header.
///
/// # Panics
/// It does not hold.
pub fn holds(input: &[u8]) {
    let Some((&what, input)) = input.split_first() else {
        return;
    };
    match what % 4 {
        0 => not_signed(input),
        1 => claims(input),
        2 => header(input),
        // JSON with some of the bytes in place of others, which is nearer to what passes.
        _ => claims(&spliced(CLAIMS, input)),
    }
}

/// A verifier as it is configured for production.
fn verifier() -> Option<JwtVerifier> {
    let key = KeyConfig {
        id: Some("k".to_owned()),
        algorithm: Some(Algorithm::HS256),
        material: KeyMaterial::Secret(SECRET.to_vec()),
        issuers: Vec::new(),
        signing_pem: None,
    };
    let config = JwtConfig {
        issuers: vec![ISSUER.to_owned()],
        audiences: vec![AUDIENCE.to_owned()],
        leeway: Duration::from_secs(LEEWAY),
        required_claims: Vec::new(),
    };
    Some(JwtVerifier::new(config, KeySet::load(&[key]).ok()?))
}

/// Who does not know the secret makes no token, and no ticket.
fn not_signed(input: &[u8]) {
    let token = String::from_utf8_lossy(input);
    let verified = verifier().map(|verifier| verifier.verify_at(&token, NOW));
    assert!(matches!(verified, Some(Err(_))), "a forged token passes");
    let tickets = TicketKey::new(SECRET, Duration::from_secs(60));
    assert!(tickets.verify(&token).is_err(), "a forged ticket passes");
}

/// Whatever claims are signed, those that pass say what they must when somebody else reads them.
fn claims(claims: &[u8]) {
    let Some(Ok(principal)) =
        verifier().map(|verifier| verifier.verify_at(&signed(HEADER, claims), NOW))
    else {
        return;
    };
    let Ok(Value::Object(claims)) = serde_json::from_slice(claims) else {
        unreachable!("claims that are no object pass");
    };
    assert_eq!(claims["iss"], ISSUER);
    assert_eq!(claims["sub"], *principal.owner.subject);
    assert_eq!(*principal.owner.issuer, *ISSUER);
    let subject = &principal.owner.subject;
    assert!((1..=512).contains(&subject.len()) && !subject.contains(char::is_control));
    let audience = match &claims["aud"] {
        Value::Array(many) => many.iter().any(|one| one == AUDIENCE),
        one => one == AUDIENCE,
    };
    assert!(audience, "{:?}", claims["aud"]);
    #[expect(
        clippy::cast_precision_loss,
        reason = "a second more or less is within it"
    )]
    let expires_after = (NOW - LEEWAY) as f64;
    assert!(
        claims["exp"]
            .as_f64()
            .is_some_and(|exp| exp > expires_after)
    );
    for name in ["nbf", "iat"] {
        #[expect(
            clippy::cast_precision_loss,
            reason = "a second more or less is within it"
        )]
        let latest = (NOW + LEEWAY + 1) as f64;
        let date = claims.get(name).filter(|date| !date.is_null());
        assert!(date.is_none_or(|date| date.as_f64().is_some_and(|date| date < latest)));
    }
    let said = format!("{:?} {:?}", claims.get("scope"), claims.get("scp"));
    for scope in &principal.scopes {
        let scope = format!("{scope:?}");
        assert!(said.contains(scope.trim_matches('"')), "{scope} of {said}");
    }
}

/// Whatever header is signed, one that passes asks for nothing that we do not do.
fn header(header: &[u8]) {
    let verified = verifier().map(|verifier| verifier.verify_at(&signed(header, CLAIMS), NOW));
    if !matches!(verified, Some(Ok(_))) {
        return;
    }
    let Ok(Value::Object(header)) = serde_json::from_slice(header) else {
        unreachable!("a header that is no object passes");
    };
    let said = |name: &str| header.get(name).filter(|value| !value.is_null());
    assert_eq!(header["alg"], "HS256");
    assert!(said("kid").is_none_or(|kid| kid == "k"));
    for refused in ["crit", "enc", "zip"] {
        assert!(said(refused).is_none(), "{refused}");
    }
    assert!(!header.contains_key("b64"));
    assert!(said("typ").is_none_or(|kind| {
        let kind = kind.as_str().map(str::to_ascii_lowercase);
        kind.is_some_and(|kind| kind.ends_with("jwt") && !kind.contains("ticket"))
    }));
}

fn signed(header: &[u8], claims: &[u8]) -> String {
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let text = format!("{}.{}", encode(header), encode(claims));
    let key = EncodingKey::from_secret(SECRET);
    let signature =
        jsonwebtoken::crypto::sign(text.as_bytes(), &key, jsonwebtoken::Algorithm::HS256);
    format!("{text}.{}", signature.unwrap_or_default())
}

/// A text with a piece of it replaced: where it begins, how long it is, and what stands there.
fn spliced(text: &[u8], input: &[u8]) -> Vec<u8> {
    let [at, length, piece @ ..] = input else {
        return text.to_vec();
    };
    let at = usize::from(*at).min(text.len());
    let end = (at + usize::from(*length)).min(text.len());
    [&text[..at], piece, &text[end..]].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn it_holds_of_the_seeds() {
        for seed in crate::seeds::of("token") {
            holds(&seed);
        }
    }

    /// Else the properties above would say nothing.
    #[test]
    fn what_it_changes_passes_as_it_is() {
        let principal = verifier().unwrap().verify_at(&signed(HEADER, CLAIMS), NOW);
        assert_eq!(principal.unwrap().scopes, ["a", "b"]);
    }

    proptest! {
        #[test]
        fn it_holds_of_anything(input: Vec<u8>) {
            holds(&input);
        }

        #[test]
        fn it_holds_of_claims_with_another_piece(
            at: u8,
            length in 0_u8..20,
            piece in prop::sample::select(vec![
                "", "null", "\"\"", "[]", "{}", "-1", "1e400", "1e15", "0.5", "1800000000.5", "\"sub\":\"root\",",
                "\\u0000", "\\ud800", ",", "\"", "\"scp\":[\"c\"],", "\"nbf\":1800000031,", "\"iat\":1e300,", "\u{85}", "9",
            ]),
        ) {
            holds(&[&[3, at, length], piece.as_bytes()].concat());
        }

        #[test]
        fn it_holds_of_headers(
            alg in "(HS256|hs256|none|HS512|RS256)",
            more in prop::sample::select(vec![
                "", ",\"crit\":[]", ",\"crit\":null", ",\"b64\":true", ",\"b64\":null", ",\"typ\":\"JWT\"", ",\"typ\":\"at+jwt\"",
                ",\"typ\":\"tailrace-ticket+jwt\"", ",\"typ\":\"application/JWT\"", ",\"kid\":null", ",\"kid\":\"k\"", ",\"kid\":\"K\"",
                ",\"alg\":\"HS256\"", ",\"zip\":\"DEF\"", ",\"enc\":null", ",\"jwk\":{}", ",\"x5c\":[]", ",\"cty\":\"JWT\"",
            ]),
        ) {
            holds(format!("\u{2}{{\"alg\":\"{alg}\"{more}}}").as_bytes());
        }
    }
}
