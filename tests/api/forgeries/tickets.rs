//! Forged tickets, and good ones where they are of no use.

use serde_json::json;

use super::Target;
use crate::bad_requests::check;
use crate::forgery::{GOOD, ISSUER, Signer, TICKET_SECRET, encode, now, token};

/// The claims of a ticket, and the token that they make under the right secret.
fn ticket(claims: &str) -> String {
    let head = json!({"typ": "tailrace-ticket+jwt", "alg": "HS256"}).to_string();
    token(&head, claims, by_us())
}

fn by_us() -> Signer<'static> {
    Signer::Hmac(jsonwebtoken::Algorithm::HS256, TICKET_SECRET.as_bytes())
}

#[test]
fn forged_tickets_are_refused() {
    let target = Target::start();
    let good = target.ticket();
    let parts: Vec<&str> = good.split('.').collect();
    let (head, body, own) = (parts[0], parts[1], parts[2]);
    let claims = |stream: &str, sub: &str, exp: u64| json!({"stream": stream, "iss": ISSUER, "sub": sub, "exp": exp});
    let (ann, later) = (&target.ann, now() + 600);
    let right = claims(ann, "ann", later).to_string();
    assert_eq!(target.events(ann, &ticket(&right)).status, 200);
    let bobs = encode(claims(&target.bob, "bob", later).to_string());
    let typed = |kind: &str| json!({"typ": kind, "alg": "HS256"}).to_string();
    let none = encode(json!({"typ": "tailrace-ticket+jwt", "alg": "none"}).to_string());
    let hs512 = json!({"typ": "tailrace-ticket+jwt", "alg": "HS512"}).to_string();
    let long = Signer::Hmac(jsonwebtoken::Algorithm::HS512, TICKET_SECRET.as_bytes());
    let raw = |text: &str| ticket(&right.replacen('{', &format!("{{{text},"), 1));
    let exp = |text: &str| ticket(&right.replacen(&later.to_string(), text, 1));
    let rows = [
        ("other claims", format!("{head}.{bobs}.{own}")),
        ("no signature", format!("{head}.{body}.")),
        ("a cut signature", format!("{head}.{body}.{}", &own[..40])),
        ("a longer signature", format!("{good}A")),
        ("four parts", format!("{good}.x")),
        ("padded", format!("{good}=")),
        ("none", format!("{none}.{body}.")),
        ("HS512", token(&hs512, &right, long)),
        (
            "the tokens' secret",
            token(&typed("tailrace-ticket+jwt"), &right, GOOD),
        ),
        ("the type of a token", token(&typed("JWT"), &right, by_us())),
        (
            "a type in capitals",
            token(&typed("TAILRACE-TICKET+JWT"), &right, by_us()),
        ),
        ("no type", token(r#"{"alg":"HS256"}"#, &right, by_us())),
        (
            "stream twice",
            raw(&format!("\"stream\":\"{}\"", target.bob)),
        ),
        ("sub twice", raw("\"sub\":\"root\"")),
        (
            "no stream",
            ticket(&json!({"iss": ISSUER, "sub": "ann", "exp": later}).to_string()),
        ),
        (
            "stream no id",
            ticket(&claims("*", "ann", later).to_string()),
        ),
        ("exp a text", exp("\"9999999999\"")),
        ("exp null", exp("null")),
        ("exp negative", exp("-1")),
        ("exp 1e400", exp("1e400")),
        ("empty", String::new()),
        ("long", "e".repeat(5000)),
    ];
    let mut texts = Vec::new();
    for (what, forged) in rows {
        for stream in [&target.ann, &target.bob] {
            check(what, target.events(stream, &forged), 401, "invalid_token");
        }
        texts.push(forged);
    }
    let expired = ticket(&claims(ann, "ann", now() - 1).to_string());
    check(
        "expired",
        target.events(ann, &expired),
        401,
        "token_expired",
    );
    // A good one, where it is of no use.
    let elsewhere = target.events(&target.bob, &good);
    check("another stream", elsewhere, 404, "stream_not_found");
    for (method, path) in [
        ("GET", "/v1/streams".to_owned()),
        ("POST", "/v1/streams".to_owned()),
        ("POST", format!("/v1/streams/{ann}/tickets")),
        ("POST", format!("/v1/streams/{ann}/cancel")),
        ("DELETE", format!("/v1/streams/{ann}")),
        ("GET", "/v1/models".to_owned()),
    ] {
        let request = target.request(method, &format!("{path}?ticket={good}"));
        let what = format!("a ticket for {method} {path}");
        check(&what, request.send(), 403, "insufficient_scope");
    }
    for (carrier, answer) in target.present(&good) {
        check(
            &format!("a ticket as a token ({carrier})"),
            answer,
            401,
            "invalid_token",
        );
    }
    texts.extend([good, expired]);
    target.control();
    target.nothing_happened(&texts);
}
