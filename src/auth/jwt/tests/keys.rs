//! Which key verifies a token: its own algorithm, its own name, and never one that the token brings.

use super::*;

#[test]
fn every_algorithm_verifies_its_own_key() {
    use jsonwebtoken::Algorithm as Library;
    let rsa = EncodingKey::from_rsa_pem(pem::RSA_PRIVATE.as_bytes()).unwrap();
    let p256 = EncodingKey::from_ec_pem(pem::P256_PRIVATE.as_bytes()).unwrap();
    let p384 = EncodingKey::from_ec_pem(pem::P384_PRIVATE.as_bytes()).unwrap();
    let ed25519 = EncodingKey::from_ed_pem(pem::ED25519_PRIVATE.as_bytes()).unwrap();
    let hmac = EncodingKey::from_secret(SECRET);
    let cases = [
        (Algorithm::HS256, Library::HS256, secret(), &hmac),
        (Algorithm::HS384, Library::HS384, secret(), &hmac),
        (Algorithm::HS512, Library::HS512, secret(), &hmac),
        (
            Algorithm::RS256,
            Library::RS256,
            public(pem::RSA_PUBLIC),
            &rsa,
        ),
        (
            Algorithm::RS384,
            Library::RS384,
            public(pem::RSA_PUBLIC),
            &rsa,
        ),
        (
            Algorithm::RS512,
            Library::RS512,
            public(pem::RSA_PUBLIC),
            &rsa,
        ),
        (
            Algorithm::PS256,
            Library::PS256,
            public(pem::RSA_PUBLIC),
            &rsa,
        ),
        (
            Algorithm::ES256,
            Library::ES256,
            public(pem::P256_PUBLIC),
            &p256,
        ),
        (
            Algorithm::ES384,
            Library::ES384,
            public(pem::P384_PUBLIC),
            &p384,
        ),
        (
            Algorithm::EdDSA,
            Library::EdDSA,
            public(pem::ED25519_PUBLIC),
            &ed25519,
        ),
    ];
    // All keys at once: the header's `kid` chooses, and the key's algorithm decides.
    let configs: Vec<KeyConfig> = cases
        .iter()
        .map(|(ours, _, material, _)| key(Some(&ours.to_string()), *ours, material.clone()))
        .collect();
    let verifier = verifier(&configs);
    for (ours, library, _, encoding) in &cases {
        let mut header = Header::new(*library);
        header.kid = Some(ours.to_string());
        let token = jsonwebtoken::encode(&header, &claims(), encoding).unwrap();
        assert!(verifier.verify_at(&token, NOW).is_ok(), "{ours}");
        // The same token under the name of any other key is refused.
        for (other, ..) in cases.iter().filter(|(other, ..)| other != ours) {
            let mut header = header.clone();
            header.kid = Some(other.to_string());
            let token = jsonwebtoken::encode(&header, &claims(), encoding).unwrap();
            assert_eq!(
                verifier.verify_at(&token, NOW),
                Err(AuthError::Invalid),
                "{ours} as {other}"
            );
        }
    }
}

#[test]
fn the_public_key_is_not_an_hmac_secret() {
    let verifier = verifier(&[key(Some("k"), Algorithm::RS256, public(pem::RSA_PUBLIC))]);
    for secret in [
        pem::RSA_PUBLIC.as_bytes(),
        pem::RSA_PUBLIC.trim().as_bytes(),
    ] {
        let header = Header {
            kid: Some("k".into()),
            ..Header::new(jsonwebtoken::Algorithm::HS256)
        };
        let token =
            jsonwebtoken::encode(&header, &claims(), &EncodingKey::from_secret(secret)).unwrap();
        assert_eq!(verifier.verify_at(&token, NOW), Err(AuthError::Invalid));
    }
}

#[test]
fn a_key_without_an_id_is_tried_and_an_unknown_id_is_not() {
    let named = hs256();
    let unnamed = verifier(&[key(None, Algorithm::HS256, secret())]);
    let token = |kid: Value| forge(&json!({"alg": "HS256", "kid": kid}), &claims().to_string());
    assert!(unnamed.verify_at(&token(json!("anything")), NOW).is_ok());
    assert!(
        named
            .verify_at(&forge(&json!({"alg": "HS256"}), &claims().to_string()), NOW)
            .is_ok()
    );
    assert_eq!(
        named.verify_at(&token(json!("other")), NOW),
        Err(AuthError::Invalid)
    );
}

#[test]
fn a_token_does_not_bring_its_own_key() {
    let jwk = json!({"kty": "oct", "k": BASE64.encode("attacker's secret of thirty-two bytes")});
    let header = json!({"alg": "HS256", "kid": "k", "jwk": jwk, "jku": "https://evil", "x5u": "https://evil"});
    let text = format!(
        "{}.{}",
        BASE64.encode(header.to_string()),
        BASE64.encode(claims().to_string())
    );
    let attacker = EncodingKey::from_secret(b"attacker's secret of thirty-two bytes");
    let signature =
        jsonwebtoken::crypto::sign(text.as_bytes(), &attacker, jsonwebtoken::Algorithm::HS256)
            .unwrap();
    assert_eq!(
        hs256().verify_at(&format!("{text}.{signature}"), NOW),
        Err(AuthError::Invalid)
    );
}

#[test]
fn jwk_sets_are_read() {
    let encode = |private: &[u8], algorithm, id: &str| {
        let key = match algorithm {
            jsonwebtoken::Algorithm::ES256 => EncodingKey::from_ec_pem(private).unwrap(),
            jsonwebtoken::Algorithm::EdDSA => EncodingKey::from_ed_pem(private).unwrap(),
            _ => EncodingKey::from_rsa_pem(private).unwrap(),
        };
        let mut jwk = jsonwebtoken::jwk::Jwk::from_encoding_key(&key, algorithm).unwrap();
        jwk.common.key_id = Some(id.to_owned());
        let header = Header {
            kid: Some(id.to_owned()),
            ..Header::new(algorithm)
        };
        (jwk, jsonwebtoken::encode(&header, &claims(), &key).unwrap())
    };
    let (rsa, rsa_token) = encode(
        pem::RSA_PRIVATE.as_bytes(),
        jsonwebtoken::Algorithm::RS256,
        "r",
    );
    let (ec, ec_token) = encode(
        pem::P256_PRIVATE.as_bytes(),
        jsonwebtoken::Algorithm::ES256,
        "e",
    );
    let set = json!({"keys": [rsa, ec, {"kty": "oct", "k": BASE64.encode(SECRET), "alg": "HS256", "kid": "o"},
        {"kty": "oct", "k": "c2hvcnQ", "use": "enc", "kid": "not for signatures"}]});
    let load = |set: &Value| {
        let material = KeyMaterial::Jwks(set.to_string());
        KeySet::load(&[KeyConfig {
            id: None,
            algorithm: None,
            material,
            issuers: Vec::new(),
            signing_pem: None,
        }])
    };
    let verifier = JwtVerifier::new(config(), load(&set).unwrap());
    for token in [rsa_token, ec_token] {
        assert!(verifier.verify_at(&token, NOW).is_ok());
    }
    assert!(
        verifier
            .verify_at(
                &forge(&json!({"alg": "HS256", "kid": "o"}), &claims().to_string()),
                NOW
            )
            .is_ok()
    );

    for (wrong, error) in [
        (json!({"keys": []}), KeyError::None),
        (
            json!({"keys": [{"kty": "oct", "k": "c2hvcnQ", "alg": "HS256", "kid": "s"}]}),
            KeyError::ShortSecret {
                key: "s".into(),
                algorithm: Algorithm::HS256,
            },
        ),
        (
            json!({"keys": [{"kty": "RSA", "n": BASE64.encode([255; 128]), "e": "AQAB", "alg": "RS256", "kid": "w"}]}),
            KeyError::ShortRsa {
                key: "w".into(),
                bits: 1024,
            },
        ),
        (
            json!({"keys": [{"kty": "oct", "k": BASE64.encode(SECRET), "kid": "n"}]}),
            KeyError::NoAlgorithm("n".into()),
        ),
    ] {
        assert_eq!(load(&wrong).err(), Some(error), "{wrong}");
    }
    assert!(matches!(
        load(&json!({"no": 1})).err(),
        Some(KeyError::Malformed(..))
    ));
}
