//! What must stand in a token, in which shape, and for how long it holds.

use super::*;

#[test]
fn missing_and_mistyped_claims_are_refused() {
    for name in ["iss", "sub", "aud", "exp"] {
        let result = hs256().verify_at(&signed(&without(name)), NOW);
        assert_eq!(result, Err(AuthError::Claim(name)), "missing {name}");
        let null = hs256().verify_at(&signed(&with(name, Value::Null)), NOW);
        assert_eq!(null, Err(AuthError::Claim(name)), "null {name}");
        for wrong in [json!({}), json!(true), json!([1])] {
            let result = hs256().verify_at(&signed(&with(name, wrong.clone())), NOW);
            assert!(result.is_err(), "{name} = {wrong}");
        }
    }
    for (name, wrong) in [
        ("iss", json!(["https://issuer"])),
        ("iss", json!(7)),
        ("sub", json!(7)),
        ("sub", json!("")),
        ("sub", json!(["ann"])),
        ("sub", json!("a\nb")),
        ("sub", json!("x".repeat(600))),
        ("aud", json!(7)),
        ("aud", json!([])),
        ("exp", json!("1900000000")),
        ("exp", json!(-1)),
        ("exp", json!(1e300)),
        ("nbf", json!("soon")),
        ("iat", json!([])),
        ("plan", json!(1)),
    ] {
        assert!(
            hs256()
                .verify_at(&signed(&with(name, wrong.clone())), NOW)
                .is_err(),
            "{name} = {wrong}"
        );
    }
}

#[test]
fn foreign_issuers_and_audiences_are_refused() {
    for (name, value) in [
        ("iss", json!("https://issuer/")),
        ("iss", json!("https://ISSUER")),
        ("aud", json!("tailrace2")),
        ("aud", json!(["x", "y"])),
    ] {
        let result = hs256().verify_at(&signed(&with(name, value.clone())), NOW);
        assert_eq!(
            result,
            Err(AuthError::ClaimRefused(name)),
            "{name} = {value}"
        );
    }
    assert!(
        hs256()
            .verify_at(&signed(&with("aud", json!(["x", "other"]))), NOW)
            .is_ok()
    );
}

#[test]
fn times_are_checked_with_leeway() {
    let at = |claims: Value| hs256().verify_at(&signed(&claims), NOW).map(drop);
    assert_eq!(at(with("exp", json!(NOW - 29))), Ok(()));
    assert_eq!(at(with("exp", json!(NOW - 30))), Err(AuthError::Expired));
    assert_eq!(at(with("exp", json!(0))), Err(AuthError::Expired));
    assert_eq!(
        at(with("exp", json!(u64::MAX))),
        Err(AuthError::ClaimRefused("exp"))
    );
    assert_eq!(at(with("exp", json!(NOW + 60))), Ok(()));
    #[expect(clippy::cast_precision_loss, reason = "the fraction is what is tested")]
    let fraction = NOW as f64 + 0.5;
    assert_eq!(at(with("exp", json!(fraction + 60.0))), Ok(()));
    assert_eq!(at(with("nbf", json!(NOW + 30))), Ok(()));
    assert_eq!(at(with("nbf", json!(NOW + 31))), Err(AuthError::NotYet));
    assert_eq!(at(with("iat", json!(NOW + 31))), Err(AuthError::NotYet));
    assert_eq!(at(with("nbf", json!(u64::MAX))), Err(AuthError::NotYet));
}

#[test]
fn a_claim_that_stands_twice_is_no_claim() {
    for twice in [
        r#""sub":"root","#,
        r#""exp":9999999999,"#,
        r#""scope":"tailrace:admin","#,
        r#""aud":"x","#,
    ] {
        let text = claims().to_string().replacen('{', &format!("{{{twice}"), 1);
        assert_eq!(
            hs256().verify_at(&forge(&plain_header(), &text), NOW),
            Err(AuthError::Invalid),
            "{twice}"
        );
    }
}

#[test]
fn configured_claims_are_required() {
    let mut config = config();
    config.required_claims = vec!["jti".into(), "nbf".into(), "plan".into()];
    config.validate().unwrap();
    let keys = KeySet::load(&[key(None, Algorithm::HS256, secret())]).unwrap();
    let verifier = JwtVerifier::new(config, keys);
    assert_eq!(
        verifier.verify_at(&signed(&claims()), NOW),
        Err(AuthError::Claim("jti"))
    );
    let mut full = with("jti", json!("1"));
    full["nbf"] = json!(NOW);
    assert!(verifier.verify_at(&signed(&full), NOW).is_ok());
    let unknown = JwtConfig {
        required_claims: vec!["email".into()],
        ..JwtConfig::default()
    };
    assert_eq!(unknown.validate(), Err(KeyError::Claim("email".into())));
}
