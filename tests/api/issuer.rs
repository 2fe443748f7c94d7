//! An identity provider: keys that sign tokens, and a server that publishes them as a test tells it.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rcgen::{KeyPair, PublicKeyData as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tailrace::auth::{Algorithm, KeyConfig, KeyMaterial, TokenRequest, mint};

use crate::client::{Request, Response};
use crate::program::{Program, tailrace};
use crate::upstream::{Exchange, Seen, Then, Upstream};

/// A key pair on P-256.
pub struct SigningKey {
    pub id: String,
    pair: KeyPair,
}

impl SigningKey {
    pub fn new(id: &str) -> Self {
        Self {
            id: id.into(),
            pair: KeyPair::generate().unwrap(),
        }
    }

    pub fn public_pem(&self) -> String {
        self.pair.public_key_pem()
    }

    /// As it is published.
    pub fn jwk(&self) -> Value {
        let point = self.pair.der_bytes();
        let half = |bytes| URL_SAFE_NO_PAD.encode(bytes);
        json!({
            "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": self.id,
            "x": half(&point[1..33]), "y": half(&point[33..65]),
        })
    }

    /// By which others may know it (RFC 7638).
    pub fn thumbprint(&self) -> String {
        let jwk = self.jwk();
        let (x, y) = (&jwk["x"], &jwk["y"]);
        let text = format!(r#"{{"crv":"P-256","kty":"EC","x":{x},"y":{y}}}"#);
        URL_SAFE_NO_PAD.encode(Sha256::digest(text))
    }

    /// A token that it has signed.
    pub fn token(&self, subject: &str) -> String {
        self.token_named(Some(&self.id), subject)
    }

    /// The same, which names another key or none.
    pub fn token_named(&self, id: Option<&str>, subject: &str) -> String {
        self.sign(id, None, subject)
    }

    /// A token that names this issuer.
    pub fn token_of(&self, issuer: &str, subject: &str) -> String {
        self.sign(Some(&self.id), Some(issuer), subject)
    }

    fn sign(&self, id: Option<&str>, issuer: Option<&str>, subject: &str) -> String {
        let key = KeyConfig {
            id: id.map(str::to_owned),
            algorithm: Some(Algorithm::ES256),
            material: KeyMaterial::Pem(self.public_pem()),
            issuers: Vec::new(),
            signing_pem: Some(self.pair.serialize_pem()),
        };
        let request = TokenRequest {
            subject: subject.into(),
            issuer: issuer.map(str::to_owned),
            audience: None,
            scope: "streams:write streams:read".into(),
            plan: None,
            lifetime: Duration::from_secs(600),
        };
        mint(&key, &request).unwrap()
    }
}

/// A JWK set of these keys.
pub fn set(keys: &[&SigningKey]) -> String {
    let keys: Vec<Value> = keys.iter().map(|key| key.jwk()).collect();
    json!({ "keys": keys }).to_string()
}

type Script = dyn Fn(&Seen, &mut Exchange) -> Then + Send + Sync;

/// Where the keys are published.
pub struct Publisher {
    pub server: Upstream,
    script: Arc<Mutex<Arc<Script>>>,
}

impl Publisher {
    /// It publishes these keys.
    pub fn of(keys: &[&SigningKey]) -> Self {
        let script: Arc<Mutex<Arc<Script>>> = Arc::new(Mutex::new(publishing(set(keys))));
        let current = Arc::clone(&script);
        let server = Upstream::start(move |seen, exchange| {
            let script = Arc::clone(&*current.lock().unwrap());
            script(seen, exchange)
        });
        Self { server, script }
    }

    /// It publishes these from now on.
    pub fn publish(&self, keys: &[&SigningKey]) {
        *self.script.lock().unwrap() = publishing(set(keys));
    }

    /// It does this with each request from now on.
    pub fn answer_by(&self, script: impl Fn(&Seen, &mut Exchange) -> Then + Send + Sync + 'static) {
        *self.script.lock().unwrap() = Arc::new(script);
    }

    /// It is asked from now on and has no answer.
    pub fn fail(&self) {
        self.answer_by(|_, exchange| {
            exchange.answer("500 Broken", "", "{\"keys\": []}");
            Then::Close
        });
    }

    /// How often it was asked.
    pub fn asked(&self) -> usize {
        self.server.seen().len()
    }

    pub fn url(&self) -> String {
        format!("http://{}/keys?tenant=secret-tenant", self.server.address)
    }
}

fn publishing(set: String) -> Arc<Script> {
    Arc::new(move |_, exchange| {
        exchange.answer("200 OK", "Content-Type: application/json\r\n", &set);
        Then::Keep
    })
}

/// The program, whose one `[[auth.keys]]` is that URL; `auth` are lines of its `[auth]`.
pub fn program(directory: &Path, url: &str, auth: &str) -> Program {
    let path = directory.join("tailrace.toml");
    std::fs::write(&path, config(url, auth)).unwrap();
    let mut command = tailrace(directory);
    command.arg("--config").arg(&path);
    Program::start(command)
}

pub fn config(url: &str, auth: &str) -> String {
    format!(
        "workers = 2\nmetrics.bind = \"127.0.0.1:0\"\n\
         models.demo = {{ generator = \"demo\", tokens_per_second = 0.0, first_token_delay_ms = 0 }}\n\
         limits.failed_authentications_per_minute = 1000000\n\
         limits.plans.default = {{ requests_per_minute = 1000000, burst = 100000, streams = 1000, tokens_per_minute = 1000000000 }}\n\
         [auth]\n{auth}\n\
         [[auth.keys]]\njwks_url = \"{url}\"\n"
    )
}

/// The answer to a request with this token.
pub fn ask(program: &Program, token: &str) -> Response {
    Request::new(program.address, "GET", "/v1/streams")
        .bearer(token)
        .send()
}

/// The status of that answer.
pub fn status(program: &Program, token: &str) -> u16 {
    ask(program, token).status
}
