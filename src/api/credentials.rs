//! Credentials of a request: the `Authorization` header, `?access_token=`, `?ticket=` or a cookie.
//!
//! Handlers ask for what they need by type: [`Caller`] with a scope, or [`Reader`]. A handler that
//! forgets has nothing to pass on.

use std::future::{Ready, ready};
use std::marker::PhantomData;

use actix_web::dev::Payload;
use actix_web::http::Method;
use actix_web::http::header::{AUTHORIZATION, ORIGIN};
use actix_web::{FromRequest, HttpRequest, web};
use futures_util::FutureExt as _;
use futures_util::future::{Either, LocalBoxFuture};

use super::Api;
use super::client_address::client_address;
use super::problem::{ApiError, Code};
use crate::auth::{AuthError, Principal, Viewer};
use crate::limit::failures::TooMany;

/// Which scope a handler demands.
pub(super) trait Demand: 'static {
    /// The scope that a caller lacks, if they lack one.
    fn lacks<'a>(scopes: &'a ScopeConfig, caller: &Principal) -> Option<&'a str>;
}

/// The handler changes streams.
pub(super) struct Write;

/// The handler reads streams.
pub(super) struct Read;

/// The handler ends streams, which operators may do who can start none.
pub(super) struct Stop;

/// The handler shows what the server does.
pub(super) struct Operate;

impl Demand for Write {
    fn lacks<'a>(scopes: &'a ScopeConfig, caller: &Principal) -> Option<&'a str> {
        let write = scopes.write.as_deref();
        write.filter(|scope| !caller.has_scope(scope))
    }
}

impl Demand for Read {
    fn lacks<'a>(scopes: &'a ScopeConfig, caller: &Principal) -> Option<&'a str> {
        let read = scopes.read.as_deref();
        read.filter(|scope| !caller.has_scope(scope))
    }
}

impl Demand for Stop {
    fn lacks<'a>(scopes: &'a ScopeConfig, caller: &Principal) -> Option<&'a str> {
        Write::lacks(scopes, caller).filter(|_| !scopes.is_operator(caller))
    }
}

impl Demand for Operate {
    fn lacks<'a>(scopes: &'a ScopeConfig, caller: &Principal) -> Option<&'a str> {
        let admin = scopes.admin.as_deref().unwrap_or(NOBODYS);
        Some(admin).filter(|_| !scopes.is_operator(caller))
    }
}

/// What an operator lacks where the configuration has no scope for operators: then there are none.
const NOBODYS: &str = "of operators, and this server has none (`auth.scopes.admin`)";

/// The names of the scopes; one that is absent is not demanded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScopeConfig {
    /// To create, cancel and delete streams.
    pub write: Option<String>,
    /// To read streams and to make tickets.
    pub read: Option<String>,
    /// To watch the server, and to cancel and delete anybody's streams. If it is absent, nobody may.
    pub admin: Option<String>,
}

impl ScopeConfig {
    fn is_operator(&self, caller: &Principal) -> bool {
        let admin = self.admin.as_deref();
        admin.is_some_and(|scope| caller.has_scope(scope))
    }
}

/// An authenticated principal that has the demanded scope.
pub(super) struct Caller<D> {
    /// Who calls.
    pub principal: Principal,
    /// Whether they may stop other people's streams.
    pub operator: bool,
    demand: PhantomData<D>,
}

impl<D: Demand> FromRequest for Caller<D> {
    type Error = ApiError;
    type Future = Admission<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let admit = |api: &Api, principal: Principal| {
            demand_scope::<D>(&principal, api)?;
            Ok(Self {
                operator: api.config.load().scopes.is_operator(&principal),
                principal,
                demand: PhantomData,
            })
        };
        admission(request, admit, |_, _| {
            Err(ApiError::new(
                Code::InsufficientScope,
                "a ticket only reads one stream's events",
            ))
        })
    }
}

/// Somebody who may read streams: a principal, or the holder of a ticket.
pub(super) struct Reader(pub Viewer);

impl FromRequest for Reader {
    type Error = ApiError;
    type Future = Admission<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let admit = |api: &Api, principal: Principal| {
            demand_scope::<Read>(&principal, api)?;
            Ok(Self(principal.viewer()))
        };
        admission(request, admit, |api, ticket| {
            verified(request, api, api.tickets.load().verify(ticket)).map(Self)
        })
    }
}

/// At once, unless a key must be asked for.
type Admission<T> =
    Either<Ready<Result<T, ApiError>>, LocalBoxFuture<'static, Result<T, ApiError>>>;

/// Verifies the credential of a request, and makes of it what the handler needs.
fn admission<T: 'static>(
    request: &HttpRequest,
    admit: impl FnOnce(&Api, Principal) -> Result<T, ApiError> + 'static,
    with_ticket: impl FnOnce(&Api, &str) -> Result<T, ApiError>,
) -> Admission<T> {
    let found = api(request).and_then(|api| Ok((api, Credential::of(request, api)?)));
    let (api, token) = match found {
        Ok((api, Credential::Token(token))) => (api, token),
        Ok((api, Credential::Ticket(ticket))) => {
            return Either::Left(ready(with_ticket(api, &ticket)));
        }
        Err(error) => return Either::Left(ready(Err(error))),
    };
    match api.jwt.verify(&token) {
        Err(AuthError::UnknownKey) => {
            let (request, api) = (request.clone(), api.clone());
            let asking = async move {
                let principal = api.jwt.verify_after_asking(&token).await;
                admit(&api, verified(&request, &api, principal)?)
            };
            Either::Right(asking.boxed_local())
        }
        principal => {
            let principal = verified(request, api, principal);
            Either::Left(ready(principal.and_then(|it| admit(api, it))))
        }
    }
}

fn api(request: &HttpRequest) -> Result<&web::Data<Api>, ApiError> {
    request.app_data().ok_or_else(ApiError::internal)
}

fn demand_scope<D: Demand>(principal: &Principal, api: &Api) -> Result<(), ApiError> {
    match D::lacks(&api.config.load().scopes, principal) {
        Some(scope) => Err(ApiError::new(
            Code::InsufficientScope,
            format!("the token lacks the scope {scope}"),
        )),
        None => Ok(()),
    }
}

/// Passes on what was verified; counts a failure, and answers 429 when there are too many.
fn verified<T>(
    request: &HttpRequest,
    api: &Api,
    result: Result<T, AuthError>,
) -> Result<T, ApiError> {
    result.map_err(|error| {
        // Their token may be good.
        if error == AuthError::KeysUnavailable {
            let error = ApiError::from(error);
            api.metrics.auth_failure(error.code().name());
            return error;
        }
        let address = client_address(request, &api.config.load().trusted_proxies);
        let error = match api.failures.record(address) {
            Ok(()) => error.into(),
            Err(TooMany { wait, news }) => {
                if let Some(address) = news {
                    tracing::warn!(
                        client.address = address,
                        auth.failure = ApiError::from(error).code().name(),
                        "An address fails to authenticate more often than \
                         limits.failed_authentications_per_minute, and gets 429"
                    );
                }
                ApiError::new(
                    Code::TooManyFailures,
                    "too many failed authentications from your address",
                )
                .retry_after(wait)
            }
        };
        api.metrics.auth_failure(error.code().name());
        error
    })
}

/// The one credential of a request, not yet verified.
enum Credential {
    Token(String),
    Ticket(String),
}

impl Credential {
    fn of(request: &HttpRequest, api: &Api) -> Result<Self, ApiError> {
        let mut found = Vec::new();
        for header in request.headers().get_all(AUTHORIZATION) {
            found.push(header.to_str().ok().and_then(bearer).map(Self::Token));
        }
        for (name, value) in form_urlencoded::parse(request.query_string().as_bytes()) {
            match name.as_ref() {
                "access_token" => found.push(Some(Self::Token(value.into_owned()))),
                "ticket" => found.push(Some(Self::Ticket(value.into_owned()))),
                _ => {}
            }
        }
        if let Some(name) = &api.config.load().cookie
            && let Some(cookie) = request.cookie(name)
        {
            check_origin(request, api)?;
            found.push(Some(Self::Token(cookie.value().to_owned())));
        }
        let last = found.pop();
        match last {
            _ if !found.is_empty() => Err(ApiError::new(
                Code::MultipleCredentials,
                "send one credential: a header, a query parameter or a cookie",
            )),
            None => Err(ApiError::new(
                Code::MissingCredentials,
                "send a token as `Authorization: Bearer <token>`",
            )),
            Some(None) => Err(ApiError::new(
                Code::InvalidToken,
                "the Authorization header is not `Bearer <token>`",
            )),
            Some(Some(credential)) => Ok(credential),
        }
    }
}

/// The token of an `Authorization` header (RFC 6750); the scheme's case does not matter.
fn bearer(header: &str) -> Option<String> {
    let (scheme, token) = header.trim().split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() && !token.contains(' '))
        .then(|| token.to_owned())
}

/// Browsers send cookies along by themselves, so a request that changes something must come from
/// an origin that we know.
fn check_origin(request: &HttpRequest, api: &Api) -> Result<(), ApiError> {
    if matches!(
        *request.method(),
        Method::GET | Method::HEAD | Method::OPTIONS
    ) {
        return Ok(());
    }
    let origin = request
        .headers()
        .get(ORIGIN)
        .and_then(|origin| origin.to_str().ok());
    let config = api.config.load();
    let known = origin.is_some_and(|origin| {
        let own = config.public_url.as_deref();
        own == Some(origin) || config.allowed_origins.iter().any(|it| it == origin)
    });
    if known {
        Ok(())
    } else {
        Err(ApiError::new(
            Code::OriginNotAllowed,
            "with a cookie, this method needs an Origin header of a configured origin",
        ))
    }
}
