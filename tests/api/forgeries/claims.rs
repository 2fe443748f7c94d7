//! Tokens that an issuer gone wrong might sign, with the server's own secret: their claims are what is
//! wrong with them.

use serde_json::{Value, json};

use super::table::{Forgery, group, invalid};
use crate::forgery::{
    self, GOOD, ISSUER, beginning, by_partner, claims, encode, headed, header, now, signature,
    signed, with, without,
};

pub fn times() -> Vec<Forgery> {
    let at = |name: &str, value: Value| signed(&with(name, value));
    let raw = |text: &str| signed(&beginning(text, "exp"));
    let mut rows = group(vec![
        ("exp missing", signed(&without("exp"))),
        ("exp null", at("exp", Value::Null)),
        ("exp a text", at("exp", json!((now() + 600).to_string()))),
        ("exp true", at("exp", json!(true))),
        ("exp a list", at("exp", json!([now() + 600]))),
        ("exp negative", at("exp", json!(-1))),
        ("exp for ever", at("exp", json!(u64::MAX))),
        ("exp 1e18", at("exp", json!(1e18))),
        ("exp 1e400", raw("\"exp\":1e400")),
        ("exp NaN", raw("\"exp\":NaN")),
        ("exp Infinity", raw("\"exp\":Infinity")),
        (
            "exp with many digits",
            raw("\"exp\":99999999999999999999999999"),
        ),
        ("nbf ahead", at("nbf", json!(now() + 60))),
        ("nbf a text", at("nbf", json!("0"))),
        ("nbf negative", at("nbf", json!(-1))),
        ("nbf for ever", at("nbf", json!(u64::MAX))),
        ("iat ahead", at("iat", json!(now() + 60))),
        ("iat a text", at("iat", json!("now"))),
    ]);
    let expired = |what: &str, value: Value| {
        let token = at("exp", value);
        (what.to_owned(), token, 401, "token_expired")
    };
    #[expect(clippy::cast_precision_loss, reason = "the fraction is meant")]
    let fraction = now() as f64 - 59.5;
    rows.extend([
        expired("exp a minute ago", json!(now() - 60)),
        expired("exp with a fraction", json!(fraction)),
        expired("exp 0", json!(0)),
        expired("exp almost 0", json!(1e-300)),
    ]);
    rows
}

pub fn parties() -> Vec<Forgery> {
    let at = |name: &str, value: Value| signed(&with(name, value));
    group(vec![
        ("iss missing", signed(&without("iss"))),
        ("iss another", at("iss", json!("https://evil.example"))),
        ("iss with a slash", at("iss", json!(format!("{ISSUER}/")))),
        ("iss in capitals", at("iss", json!(ISSUER.to_uppercase()))),
        ("iss a list", at("iss", json!([ISSUER]))),
        ("iss not the key's", by_partner(&claims().to_string())),
        (
            "iss missing, the key's demanded",
            by_partner(&without("iss")),
        ),
        ("iss an object", at("iss", json!({"iss": ISSUER}))),
        ("aud missing", signed(&without("aud"))),
        ("aud another", at("aud", json!("billing"))),
        ("aud others", at("aud", json!(["billing", "tailrace2"]))),
        ("aud empty", at("aud", json!([]))),
        ("aud with a number", at("aud", json!(["tailrace", 7]))),
        ("aud with null", at("aud", json!(["tailrace", null]))),
        ("aud in one text", at("aud", json!("billing tailrace"))),
        ("aud an object", at("aud", json!({"tailrace": true}))),
    ])
}

pub fn subjects() -> Vec<Forgery> {
    let sub = |value: Value| signed(&with("sub", value));
    group(vec![
        ("missing", signed(&without("sub"))),
        ("null", sub(Value::Null)),
        ("empty", sub(json!(""))),
        ("a number", sub(json!(7))),
        ("a list", sub(json!(["ann"]))),
        ("an object", sub(json!({"sub": "ann"}))),
        ("of 513 bytes", sub(json!("x".repeat(513)))),
        ("with NUL", sub(json!("ann\0"))),
        ("with a newline", sub(json!("ann\n[INFO] all is well"))),
        ("with an escape", sub(json!("\u{1b}[2J"))),
        ("with a C1 control", sub(json!("ann\u{85}"))),
        (
            "half a surrogate",
            signed(&beginning(r#""sub":"\ud800""#, "sub")),
        ),
    ])
}

pub fn scopes() -> Vec<Forgery> {
    let lacking = |what: &str, value: Value| {
        let token = signed(&with("scope", value));
        (what.to_owned(), token, 403, "insufficient_scope")
    };
    let mut rows = vec![
        lacking("empty", json!("")),
        lacking("null", Value::Null),
        lacking("a longer name", json!("streams:readx streams:writes")),
        lacking("a shorter name", json!("streams")),
        lacking("in capitals", json!("STREAMS:READ STREAMS:WRITE")),
        lacking("with commas", json!("streams:read,streams:write")),
        lacking("with a wildcard", json!("streams:* *")),
        lacking(
            "with a wide space",
            json!("streams:read\u{a0}streams:write"),
        ),
        lacking("a list of one text with commas", json!(["streams:read,x"])),
        lacking("that of operators alone", json!("tailrace:admin")),
    ];
    let mut other = claims();
    other.as_object_mut().unwrap().remove("scope");
    other["scopes"] = json!(["streams:read", "streams:write"]);
    let token = signed(&other.to_string());
    rows.push((
        "under another name".into(),
        token,
        403,
        "insufficient_scope",
    ));
    for value in [
        json!(7),
        json!({"streams:read": true}),
        json!(["streams:read", 7]),
    ] {
        let token = signed(&with("scope", value.clone()));
        rows.push(invalid(format!("scope {value}"), token));
    }
    rows
}

pub fn characters() -> Vec<Forgery> {
    let good = signed(&claims().to_string());
    let cyrillic = header("\u{41d}S256", "hmac").to_string();
    group(vec![
        ("NUL at the end", format!("{good}\0")),
        ("NUL at the beginning", format!("\0{good}")),
        ("NUL within", good.replacen('.', ".\0", 1)),
        ("a wide dot", good.replacen('.', "\u{ff0e}", 1)),
        ("a byte order mark", format!("\u{feff}{good}")),
        ("a zero-width space", format!("{good}\u{200b}")),
        ("a Cyrillic letter in alg", headed(&cyrillic)),
        (
            "a Cyrillic letter in kid",
            headed(&header("HS256", "hm\u{430}c").to_string()),
        ),
        (
            "a Cyrillic letter in iss",
            signed(&with("iss", json!(ISSUER.replace('e', "\u{435}")))),
        ),
        (
            "a wide letter in aud",
            signed(&with("aud", json!("t\u{ff41}ilrace"))),
        ),
        ("header of no UTF-8", {
            let text = format!(
                "{}.{}",
                encode([b"{\"alg\":\"HS256\",\"x\":\"", &[0xff][..], b"\"}"].concat()),
                encode(claims().to_string())
            );
            format!("{text}.{}", signature(&text, GOOD))
        }),
        ("claims in UTF-16", {
            let claims: Vec<u8> = forgery::claims()
                .to_string()
                .encode_utf16()
                .flat_map(u16::to_le_bytes)
                .collect();
            let head = header("HS256", "hmac").to_string();
            let text = format!("{}.{}", encode(head), encode(claims));
            format!("{text}.{}", signature(&text, GOOD))
        }),
    ])
}
