//! The vectors of Wycheproof for every algorithm that a key can be for, through the keys as they are
//! configured: in PEM, and as a JWK set. Each signature that is right is accepted and each that is wrong
//! is refused, but for the exceptions that stand here with their reasons.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use wycheproof::{TestResult, ecdsa, eddsa, mac, rsa_pkcs1_verify, rsa_pss_verify};

use super::*;
use crate::auth::test_keys::{key, public};

/// How many vectors were accepted and refused, and how many keys were not even loaded.
#[derive(Debug, Default, PartialEq, Eq)]
struct Ran {
    accepted: usize,
    refused: usize,
    keys_refused: usize,
}

/// What is expected of a signature.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Expected {
    Accepted,
    Refused,
    /// Wycheproof leaves it open.
    Either,
}

fn as_it_says(result: TestResult) -> Expected {
    match result {
        TestResult::Valid => Expected::Accepted,
        TestResult::Invalid => Expected::Refused,
        TestResult::Acceptable => Expected::Either,
    }
}

impl Ran {
    /// Checks one signature under the one key of each of these sets.
    fn check(&mut self, what: &str, sets: &[KeySet], text: &[u8], signature: &[u8], is: Expected) {
        let signature = URL_SAFE_NO_PAD.encode(signature);
        for set in sets {
            let [key] = set.keys.as_slice() else {
                panic!("{what}: one key expected");
            };
            let accepted = key.has_signed(text, &signature);
            match is {
                Expected::Accepted => assert!(accepted, "{what} is refused"),
                Expected::Refused => assert!(!accepted, "{what} is accepted"),
                Expected::Either => {}
            }
            if accepted {
                self.accepted += 1;
            } else {
                self.refused += 1;
            }
        }
    }
}

/// The key in PEM and, if there is one, as a JWK.
fn sets(algorithm: Algorithm, pem: &str, jwk: Option<Value>) -> Vec<KeySet> {
    let mut configs = vec![key(Some("v"), algorithm, public(pem))];
    configs.extend(jwk.map(|jwk| KeyConfig {
        algorithm: None,
        ..key(
            None,
            algorithm,
            KeyMaterial::Jwks(json!({"keys": [jwk]}).to_string()),
        )
    }));
    let load = |config| KeySet::load(&[config]).unwrap_or_else(|error| panic!("{error}"));
    configs.into_iter().map(load).collect()
}

fn text(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A number as a JWK has it, without the zeros that begin it in DER (RFC 7518, section 2).
fn number(bytes: impl AsRef<[u8]>) -> String {
    let digits = bytes.as_ref().iter().skip_while(|byte| **byte == 0);
    text(digits.copied().collect::<Vec<u8>>())
}

fn hmac(algorithm: Algorithm, name: mac::TestName, full: usize) -> Ran {
    let mut ran = Ran::default();
    for group in mac::TestSet::load(name).unwrap().test_groups {
        for test in group.tests {
            let jwk = json!({"kty": "oct", "alg": algorithm.to_string(), "k": text(&test.key)});
            let load = |config| KeySet::load(&[config]);
            let secret = load(key(None, algorithm, KeyMaterial::Secret(test.key.to_vec())));
            let set = json!({"keys": [jwk]}).to_string();
            let set = load(key(None, algorithm, KeyMaterial::Jwks(set)));
            // Exception: a secret that is shorter than the hash is no key (RFC 7518, section 3.2).
            let (Ok(secret), Ok(set)) = (secret, set) else {
                assert!(test.key.len() < full, "{algorithm} {}", test.tc_id);
                ran.keys_refused += 1;
                continue;
            };
            // Exception: JWS knows no tags that are cut short (RFC 7518, section 3.2).
            let is = if test.tag.len() == full {
                as_it_says(test.result)
            } else {
                Expected::Refused
            };
            let what = format!("{algorithm} {}", test.tc_id);
            ran.check(&what, &[secret, set], &test.msg, &test.tag, is);
        }
    }
    ran
}

fn pkcs1(algorithm: Algorithm, names: &[rsa_pkcs1_verify::TestName]) -> Ran {
    let mut ran = Ran::default();
    for name in names {
        for group in rsa_pkcs1_verify::TestSet::load(*name).unwrap().test_groups {
            // With the zeros of DER, as some write them.
            assert_eq!(group.key.n[0], 0);
            let jwk = json!({"kty": "RSA", "alg": algorithm.to_string(), "n": text(&group.key.n), "e": text(&group.key.e)});
            let sets = sets(algorithm, &group.pem, Some(jwk));
            for test in group.tests {
                let what = format!("{algorithm} {name:?} {}", test.tc_id);
                ran.check(&what, &sets, &test.msg, &test.sig, as_it_says(test.result));
            }
        }
    }
    ran
}

fn pss(name: rsa_pss_verify::TestName, salt: usize) -> Ran {
    let mut ran = Ran::default();
    for group in rsa_pss_verify::TestSet::load(name).unwrap().test_groups {
        assert_eq!(group.salt_size, salt);
        let jwk = json!({"kty": "RSA", "alg": "PS256", "n": number(&group.key.n), "e": number(&group.key.e)});
        let sets = sets(Algorithm::PS256, &group.pem, Some(jwk));
        for test in group.tests {
            // Exception: the salt is as long as the hash (RFC 7518, section 3.5), and no other.
            // Where it ought to be none, one that was made 32 bytes long is thus right.
            let is = match (salt, test.comment.as_str()) {
                (32, _) => as_it_says(test.result),
                (_, "s_len changed to 32") => Expected::Accepted,
                _ => Expected::Refused,
            };
            let what = format!("PS256 {name:?} {}", test.tc_id);
            ran.check(&what, &sets, &test.msg, &test.sig, is);
        }
    }
    ran
}

fn elliptic(algorithm: Algorithm, name: ecdsa::TestName, is_der: bool) -> Ran {
    let mut ran = Ran::default();
    for group in ecdsa::TestSet::load(name).unwrap().test_groups {
        // A JWK has coordinates of full length, which are the halves of the uncompressed point.
        let (x, y) = group.key.key[1..].split_at(group.key.key.len() / 2);
        let curve = if algorithm == Algorithm::ES256 {
            "P-256"
        } else {
            "P-384"
        };
        let jwk = json!({"kty": "EC", "crv": curve, "x": text(x), "y": text(y)});
        let sets = sets(algorithm, &group.pem, Some(jwk));
        for test in group.tests {
            // Exception: a signature in DER is none in JWS (RFC 7518, section 3.4), however right.
            let is = if is_der {
                Expected::Refused
            } else {
                as_it_says(test.result)
            };
            let what = format!("{algorithm} {name:?} {}", test.tc_id);
            ran.check(&what, &sets, &test.msg, &test.sig, is);
        }
    }
    ran
}

#[test]
fn hmac_vectors() {
    let ran = [
        hmac(Algorithm::HS256, mac::TestName::HmacSha256, 32),
        hmac(Algorithm::HS384, mac::TestName::HmacSha384, 48),
        hmac(Algorithm::HS512, mac::TestName::HmacSha512, 64),
    ];
    println!("{ran:?}");
    assert!(ran.iter().all(|it| it.accepted > 50 && it.refused > 50));
}

#[test]
fn rsa_vectors() {
    use rsa_pkcs1_verify::TestName as Pkcs1;
    use rsa_pss_verify::TestName as Pss;
    let ran = [
        pkcs1(
            Algorithm::RS256,
            &[
                Pkcs1::Rsa2048Sha256,
                Pkcs1::Rsa3072Sha256,
                Pkcs1::Rsa4096Sha256,
            ],
        ),
        pkcs1(
            Algorithm::RS384,
            &[
                Pkcs1::Rsa2048Sha384,
                Pkcs1::Rsa3072Sha384,
                Pkcs1::Rsa4096Sha384,
            ],
        ),
        pkcs1(
            Algorithm::RS512,
            &[
                Pkcs1::Rsa2048Sha512,
                Pkcs1::Rsa3072Sha512,
                Pkcs1::Rsa4096Sha512,
            ],
        ),
        pss(Pss::RsaPss2048Sha256Mgf1SaltLen32, 32),
        pss(Pss::RsaPss3072Sha256Mgf1SaltLen32, 32),
        pss(Pss::RsaPss4096Sha256Mgf1SaltLen32, 32),
    ];
    println!("{ran:?}");
    assert!(ran.iter().all(|it| it.accepted > 10 && it.refused > 50));
    let other_salt = pss(Pss::RsaPss2048Sha256Mgf1SaltLen0, 0);
    println!("{other_salt:?}");
    assert!(other_salt.accepted == 2 && other_salt.refused > 50);
}

#[test]
fn elliptic_vectors() {
    use ecdsa::TestName as Ec;
    let ran = [
        elliptic(Algorithm::ES256, Ec::EcdsaSecp256r1Sha256P1363, false),
        elliptic(Algorithm::ES384, Ec::EcdsaSecp384r1Sha384P1363, false),
    ];
    println!("{ran:?}");
    assert!(ran.iter().all(|it| it.accepted > 50 && it.refused > 50));
    for der in [
        elliptic(Algorithm::ES256, Ec::EcdsaSecp256r1Sha256, true),
        elliptic(Algorithm::ES384, Ec::EcdsaSecp384r1Sha384, true),
    ] {
        println!("{der:?}");
        assert!(der.accepted == 0 && der.refused > 50);
    }
}

#[test]
fn edwards_vectors() {
    let mut ran = Ran::default();
    let set = eddsa::TestSet::load(eddsa::TestName::Ed25519).unwrap();
    for group in set.test_groups {
        let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": text(&group.jwk.x)});
        let sets = sets(Algorithm::EdDSA, &group.pem, Some(jwk));
        for test in group.tests {
            let what = format!("EdDSA {}", test.tc_id);
            ran.check(&what, &sets, &test.msg, &test.sig, as_it_says(test.result));
        }
    }
    println!("{ran:?}");
    assert!(ran.accepted > 50 && ran.refused > 50);
    // Ed448 is EdDSA too, and no algorithm of ours.
    let other = eddsa::TestSet::load(eddsa::TestName::Ed448).unwrap();
    for group in other.test_groups {
        let config = key(None, Algorithm::EdDSA, public(&group.pem));
        assert!(KeySet::load(&[config]).is_err());
    }
}
