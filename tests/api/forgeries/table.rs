//! The forgeries: what each is, its text, and how it must be refused.

use jsonwebtoken::Algorithm::{HS256, HS384, HS512, PS256, RS256, RS512};
use serde_json::{Value, json};

use super::claims as by_claims;
use crate::forgery::{
    EC_PUBLIC, ED_PUBLIC, GOOD, ISSUER, RSA_PUBLIC, Signer, beginning, claims, containing, der,
    encode, headed, header, now, signature, signed, token, with,
};
use crate::server::SECRET;

/// What it is, its text, the status and the code that it gets.
pub type Forgery = (String, String, u16, &'static str);

pub fn invalid(what: impl Into<String>, token: String) -> Forgery {
    (what.into(), token, 401, "invalid_token")
}

pub fn group(rows: Vec<(&str, String)>) -> Vec<Forgery> {
    rows.into_iter()
        .map(|(what, token)| invalid(what, token))
        .collect()
}

/// A key of our kind that we do not know.
const ATTACKER: Signer<'static> = Signer::Hmac(HS256, b"the attacker's own secret, long enough");

pub fn groups() -> Vec<(&'static str, Vec<Forgery>)> {
    vec![
        ("no algorithm", no_algorithm()),
        ("another algorithm", another_algorithm()),
        ("the key's name", key_names()),
        ("a key of its own", embedded_keys()),
        ("headers that ask for more", headers()),
        ("a member that stands twice", twice()),
        ("the signature", signatures()),
        ("the encoding", encodings()),
        ("the shape", shapes()),
        ("times", by_claims::times()),
        ("issuer and audience", by_claims::parties()),
        ("the subject", by_claims::subjects()),
        ("scopes", by_claims::scopes()),
        ("characters", by_claims::characters()),
    ]
}

fn no_algorithm() -> Vec<Forgery> {
    let claims = encode(claims().to_string());
    let names = ["none", "None", "NONE", "nOnE", "none ", "", "null", "NULL"];
    let as_texts = names.map(|name| (format!("alg {name:?}"), header(name, "hmac")));
    let others = [
        ("alg null", json!({"alg": null})),
        ("alg false", json!({"alg": false})),
        ("alg 0", json!({"alg": 0})),
        ("alg [none]", json!({"alg": ["none"]})),
        ("no alg", json!({"typ": "JWT"})),
    ];
    let others = others.map(|(what, header)| (what.to_owned(), header));
    let mut rows = Vec::new();
    for (what, header) in as_texts.into_iter().chain(others) {
        let text = format!("{}.{claims}", encode(header.to_string()));
        // Without a signature, and with a right one.
        rows.push(invalid(what.clone(), format!("{text}.")));
        let signed = signature(&text, GOOD);
        rows.push(invalid(
            format!("{what}, signed"),
            format!("{text}.{signed}"),
        ));
    }
    rows
}

/// A public key is no secret: whoever has it must not be able to sign with it.
fn another_algorithm() -> Vec<Forgery> {
    let rsa = der(RSA_PUBLIC);
    let jwk = json!({"kty": "RSA", "n": encode(&rsa[33..289]), "e": "AQAB"}).to_string();
    let secrets: [(&str, &[u8]); 9] = [
        ("the RSA key in PEM", RSA_PUBLIC.as_bytes()),
        ("without its last newline", RSA_PUBLIC.trim().as_bytes()),
        ("in DER", &rsa),
        ("in PKCS#1", &rsa[24..]),
        ("its modulus", &rsa[33..289]),
        ("as a JWK", jwk.as_bytes()),
        ("the EC key in PEM", EC_PUBLIC.as_bytes()),
        ("the Ed25519 key in PEM", ED_PUBLIC.as_bytes()),
        ("its 32 bytes", &der(ED_PUBLIC)[12..]),
    ];
    let mut rows = Vec::new();
    let text = claims().to_string();
    for (what, secret) in secrets {
        for (name, algorithm) in [("HS256", HS256), ("HS384", HS384), ("HS512", HS512)] {
            for kid in ["rsa", "ec", "ed", "hmac"] {
                let header = header(name, kid).to_string();
                let token = token(&header, &text, Signer::Hmac(algorithm, secret));
                rows.push(invalid(format!("{what}, {name}, {kid}"), token));
            }
        }
        let header = json!({"alg": "HS256"}).to_string();
        let token = token(&header, &text, Signer::Hmac(HS256, secret));
        rows.push(invalid(format!("{what}, no kid"), token));
    }
    // Right keys, of another algorithm than the header says or than the key is for.
    for (said, kid, signer) in [
        ("HS512", "hmac", Signer::Hmac(HS512, SECRET.as_bytes())),
        ("HS256", "hmac", Signer::Hmac(HS384, SECRET.as_bytes())),
        ("RS512", "rsa", Signer::Rsa(RS512)),
        ("PS256", "rsa", Signer::Rsa(PS256)),
        ("RS256", "rsa", Signer::Rsa(PS256)),
        ("RS256", "rsa", Signer::Rsa(RS512)),
        ("ES384", "ec", Signer::Ec384),
        ("ES256", "ec", Signer::Ec384),
        ("EdDSA", "ed", Signer::Ec),
        ("ES256", "ec", Signer::Ed),
        ("ES256K", "ec", Signer::Ec),
        ("ES512", "ec", Signer::Ec),
        ("hs256", "hmac", GOOD),
    ] {
        let token = token(&header(said, kid).to_string(), &text, signer);
        rows.push(invalid(format!("{said} of {kid}"), token));
    }
    rows
}

fn key_names() -> Vec<Forgery> {
    let mut rows = Vec::new();
    let kids = [
        json!("../../../../dev/null"),
        json!("/dev/null"),
        json!("file:///dev/null"),
        json!("x' UNION SELECT 'key' --"),
        json!("hmac' OR '1'='1"),
        json!("$(id)"),
        json!(""),
        json!("HMAC"),
        json!("hmac "),
        json!("hmac\0"),
        json!("unknown"),
        json!(0),
        json!(true),
        json!(["hmac"]),
        json!({"hmac": 1}),
        json!("k".repeat(4000)),
    ];
    for kid in kids {
        let what = format!("kid {:.30}", kid.to_string());
        let header = json!({"alg": "HS256", "kid": kid}).to_string();
        let text = claims().to_string();
        // Under our own secret, under what such a name is meant to find, and under none.
        for signer in [
            GOOD,
            Signer::Hmac(HS256, b"key"),
            Signer::Hmac(HS256, b""),
            ATTACKER,
        ] {
            rows.push(invalid(what.clone(), token(&header, &text, signer)));
        }
    }
    for kid in ["rsa", "ec", "ed"] {
        let header = header("HS256", kid).to_string();
        let token = token(&header, &claims().to_string(), GOOD);
        rows.push(invalid(format!("our secret as {kid}"), token));
    }
    let missing = json!({"alg": "HS256"}).to_string();
    let token = token(&missing, &claims().to_string(), ATTACKER);
    rows.push(invalid("no kid, another's secret", token));
    rows
}

fn embedded_keys() -> Vec<Forgery> {
    let secret = encode(b"the attacker's own secret, long enough");
    let keys = [
        ("jwk", json!({"kty": "oct", "alg": "HS256", "k": secret})),
        ("jwk", json!({"kty": "oct", "k": secret, "kid": "hmac"})),
        ("jku", json!("https://evil.example/jwks.json")),
        ("jku", json!("http://169.254.169.254/latest/meta-data/")),
        ("jku", json!("file:///etc/passwd")),
        ("x5u", json!("https://evil.example/cert.pem")),
        ("x5c", json!(["MIIB"])),
        ("x5t", json!("evil")),
        ("x5t#S256", json!("evil")),
    ];
    let mut rows = Vec::new();
    for (name, value) in keys {
        for kid in [json!("hmac"), json!("evil"), Value::Null] {
            let header = json!({"alg": "HS256", "kid": kid, name: value}).to_string();
            let token = token(&header, &claims().to_string(), ATTACKER);
            rows.push(invalid(format!("{name}, kid {kid}"), token));
        }
    }
    rows
}

fn headers() -> Vec<Forgery> {
    let more = [
        json!({"crit": ["exp"]}),
        json!({"crit": []}),
        json!({"crit": ["b64"], "b64": false}),
        json!({"b64": false}),
        json!({"b64": true}),
        json!({"typ": "JWE"}),
        json!({"typ": "tailrace-ticket+jwt"}),
        json!({"typ": "application/tailrace-ticket+jwt"}),
        json!({"typ": "dpop+jwt"}),
        json!({"typ": "logout+jwt"}),
        json!({"typ": ""}),
        json!({"typ": 7}),
        json!({"enc": "A256GCM"}),
        json!({"zip": "DEF"}),
    ];
    let rows = more.map(|more| {
        let mut header = header("HS256", "hmac");
        for (name, value) in more.as_object().unwrap() {
            header[name] = value.clone();
        }
        let token = headed(&header.to_string());
        invalid(more.to_string(), token)
    });
    let nested = headed(&json!({"alg": "HS256", "kid": "hmac", "cty": "JWT"}).to_string());
    let inside = token(
        &json!({"alg": "HS256", "kid": "hmac", "cty": "JWT"}).to_string(),
        &nested,
        GOOD,
    );
    let mut rows = Vec::from(rows);
    rows.push(invalid("a token within a token", inside));
    rows
}

fn twice() -> Vec<Forgery> {
    let none_first = r#"{"alg":"none","alg":"HS256","kid":"hmac"}"#;
    let none_last = r#"{"alg":"HS256","alg":"none","kid":"hmac"}"#;
    let twice = |text: &str| signed(&beginning(text, ""));
    group(vec![
        ("alg, none first", headed(none_first)),
        ("alg, none last", headed(none_last)),
        (
            "kid",
            headed(r#"{"alg":"HS256","kid":"evil","kid":"hmac"}"#),
        ),
        ("sub", twice(r#""sub":"root""#)),
        ("exp", twice(r#""exp":99999999999"#)),
        ("scope", twice(r#""scope":"tailrace:admin""#)),
        ("iss", twice(r#""iss":"https://evil.example""#)),
        ("aud", twice(r#""aud":"evil""#)),
        ("sub, escaped", twice(r#""\u0073ub":"root""#)),
    ])
}

fn signatures() -> Vec<Forgery> {
    let good = signed(&claims().to_string());
    let (text, own) = good.rsplit_once('.').unwrap();
    let ec_text = format!(
        "{}.{}",
        encode(header("ES256", "ec").to_string()),
        encode(claims().to_string())
    );
    let ec = |bytes: &[u8]| format!("{ec_text}.{}", encode(bytes));
    let right = signature(&ec_text, Signer::Ec);
    let right = base64::Engine::decode(
        &base64::engine::general_purpose::URL_SAFE_NO_PAD,
        right.as_bytes(),
    )
    .unwrap();
    let (r, s) = right.split_at(32);
    let mut swapped = s.to_vec();
    swapped.extend(r);
    let mut in_der = vec![0x30, 70, 0x02, 33, 0];
    in_der.extend(r);
    in_der.extend([0x02, 33, 0]);
    in_der.extend(s);
    let order = [
        0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc,
        0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
    ];
    let rs = token(
        &header("RS256", "rsa").to_string(),
        &claims().to_string(),
        Signer::Rsa(RS256),
    );
    let (rs_text, rs_own) = rs.rsplit_once('.').unwrap();
    let foreign = rcgen::KeyPair::generate().unwrap().serialize_pem();
    let foreign = signature(&ec_text, Signer::Foreign(&foreign));
    group(vec![
        ("none", format!("{text}.")),
        ("its last byte cut", format!("{text}.{}", &own[..40])),
        ("half of it", format!("{text}.{}", &own[..20])),
        ("with a byte more", format!("{text}.{own}A")),
        ("twice", format!("{text}.{own}{own}")),
        ("of other claims", {
            let other = signed(&with("sub", json!("root")));
            format!("{text}.{}", other.rsplit_once('.').unwrap().1)
        }),
        ("of zeros", format!("{text}.{}", encode([0; 32]))),
        ("in hexadecimal", format!("{text}.{}", "ab".repeat(32))),
        ("of the attacker", {
            format!("{text}.{}", signature(text, ATTACKER))
        }),
        ("of another environment", format!("{ec_text}.{foreign}")),
        ("ES256, r and s zero", ec(&[0; 64])),
        ("ES256, r zero", ec(&[&[0; 32], s].concat())),
        ("ES256, s zero", ec(&[r, &[0; 32]].concat())),
        ("ES256, r and s swapped", ec(&swapped)),
        ("ES256, the order", ec(&[order, order].concat())),
        ("ES256, in DER", ec(&in_der)),
        ("ES256, s cut", ec(&right[..63])),
        ("ES256, with a zero more", ec(&[&right[..], &[0]].concat())),
        ("RS256, cut", format!("{rs_text}.{}", &rs_own[..300])),
        ("RS256, of zeros", format!("{rs_text}.{}", encode([0; 256]))),
        (
            "RS256, of the ones",
            format!("{rs_text}.{}", encode([255; 256])),
        ),
    ])
}

fn encodings() -> Vec<Forgery> {
    let good = signed(&claims().to_string());
    let parts: Vec<&str> = good.split('.').collect();
    let (head, body, own) = (parts[0], parts[1], parts[2]);
    // 32 bytes are 43 characters, whose last has two bits that say nothing.
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let last = alphabet.find(own.chars().last().unwrap()).unwrap();
    let stray = alphabet.chars().nth(last + 1).unwrap();
    let (minus, underscore) = (containing('-'), containing('_'));
    group(vec![
        ("padding at the end", format!("{good}=")),
        ("padding in the header", format!("{head}==.{body}.{own}")),
        ("padding in the claims", format!("{head}.{body}==.{own}")),
        ("a space within", format!("{head}.{body} .{own}")),
        ("a space in the header", format!("{head} .{body}.{own}")),
        ("a tab within", format!("{head}.{body}.\t{own}")),
        ("a newline at the end", format!("{good}\n")),
        ("a newline within", format!("{head}.\n{body}.{own}")),
        ("a return within", format!("{head}.{body}.\r\n{own}")),
        ("+ for -", minus.replace('-', "+")),
        ("/ for _", underscore.replace('_', "/")),
        ("stray bits", format!("{head}.{body}.{}{stray}", &own[..42])),
        ("percent for a dot", good.replace('.', "%2E")),
        ("quoted", format!("\"{good}\"")),
        ("no base64 at all", format!("{head}.!!!.{own}")),
    ])
}

fn shapes() -> Vec<Forgery> {
    let good = signed(&claims().to_string());
    let parts: Vec<&str> = good.split('.').collect();
    let (head, body, own) = (parts[0], parts[1], parts[2]);
    let jwe = json!({"alg": "dir", "enc": "A256GCM"}).to_string();
    group(vec![
        ("a word", "guess".into()),
        ("a dot", ".".into()),
        ("two dots", "..".into()),
        ("three dots", "...".into()),
        ("one part", head.into()),
        ("two parts", format!("{head}.{body}")),
        ("four parts", format!("{good}.x")),
        ("an empty fourth part", format!("{good}.")),
        ("an empty first part", format!(".{good}")),
        ("no header", format!(".{body}.{own}")),
        ("no claims", format!("{head}..{own}")),
        ("JWE", format!("{}..AAAA.AAAA.AAAA", encode(&jwe))),
        ("JWE as JWS", token(&jwe, &claims().to_string(), GOOD)),
        (
            "JSON serialization",
            json!({"protected": head, "payload": body, "signature": own}).to_string(),
        ),
        ("twice", format!("{good},{good}")),
        ("header no JSON", headed("HS256")),
        ("header an array", headed("[]")),
        ("header a text", headed("\"HS256\"")),
        (
            "header with more behind",
            headed(r#"{"alg":"HS256","kid":"hmac"}{}"#),
        ),
        ("claims no JSON", signed("{")),
        ("claims an array", signed("[]")),
        ("claims null", signed("null")),
        (
            "claims in a list",
            signed(&json!([ISSUER, "ann", "tailrace", now() + 600]).to_string()),
        ),
        (
            "claims with more behind",
            signed(&format!("{}{{}}", claims())),
        ),
        ("claims empty", signed("{}")),
        ("claims deep", signed(&"[".repeat(3000))),
        ("long", signed(&with("padding", json!("x".repeat(8000))))),
    ])
}
