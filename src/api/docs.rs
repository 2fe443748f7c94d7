//! The OpenAPI document, made from the code, and the page that renders it.

mod examples;
mod page;

use actix_web::HttpResponse;
use serde_json::{Value, json};
use utoipa::OpenApi as _;
use utoipa::openapi::OpenApi;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};

pub(super) use self::page::serve as page;
use super::problem::{Problem, ProblemError};
use super::{chat_completions, health, models, monitor, streams, tickets, wire};

/// Only the derive's target; see [`document`].
#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Tailrace",
        description = "Token streams of language models over Server-Sent Events, which survive the \
                       network and the tab. Every stream can be resumed from any event \
                       and ends with exactly one `done` or `error`.\n\nCalls need a token: \
                       `tailrace token` prints one, and in development mode the page `/docs/` \
                       has one already.\n\nErrors are `application/problem+json`; `/errors` lists \
                       their codes.",
    ),
    servers((url = "/", description = "This server")),
    paths(
        streams::create, streams::list, streams::show, streams::cancel, streams::delete,
        super::events::follow, tickets::create,
        chat_completions::create, models::list, models::show, health::livez, health::readyz,
        monitor::feed,
    ),
    components(schemas(wire::Event, Problem, ProblemError)),
    tags(
        (name = "streams", description = "Create, follow and stop token streams"),
        (name = "openai", description = "For clients that speak OpenAI's API"),
        (name = "operations", description = "For whoever runs the server"),
    ),
    // Generated clients send a token in every carrier that stands here, which is refused: so the
    // others stand only where a URL has to be enough.
    security(("bearer" = [])),
)]
struct Document;

/// The document in OpenAPI 3.1: `text/event-stream` has the union of events as its schema, which
/// client generators type correctly.
#[must_use]
pub fn document() -> OpenApi {
    let mut document = Document::openapi();
    let components = document.components.get_or_insert_default();
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("JWT")
        .description(Some(
            "Use this one, here and wherever you can: a JSON Web Token, which `tailrace token` \
             prints. A request has one credential, so leave the others empty.",
        ))
        .build();
    let query = |name, description| {
        SecurityScheme::ApiKey(ApiKey::Query(ApiKeyValue::with_description(
            name,
            description,
        )))
    };
    components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
    components.add_security_scheme(
        "access_token",
        query(
            "access_token",
            "Not beside `bearer`: the same token in the URL, for clients that cannot set headers \
             (RFC 6750). URLs end up in histories and logs.",
        ),
    );
    components.add_security_scheme(
        "ticket",
        query(
            "ticket",
            "Not beside `bearer`: reads one stream, for an `EventSource`. `POST \
             /v1/streams/{id}/tickets` makes it.",
        ),
    );
    examples::add(&mut document);
    document
}

/// The document in OpenAPI 3.2: `text/event-stream` has an `itemSchema`, the envelope of one event,
/// which validators understand.
#[must_use]
pub fn document_3_2() -> Value {
    let mut document = serde_json::to_value(document()).unwrap_or_default();
    document["openapi"] = json!("3.2.0");
    describe_items(&mut document);
    document
}

/// Replaces the schemas of streaming content wherever it stands.
fn describe_items(value: &mut Value) {
    match value {
        Value::Object(object) => {
            for (key, inner) in object.iter_mut() {
                match key.as_str() {
                    "text/event-stream" => {
                        let schema = inner["schema"].take();
                        // Chat completions: JSON, but for the last, which is `[DONE]`.
                        let data = if schema["type"] == "string" {
                            schema
                        } else {
                            json!({
                                "type": "string",
                                "contentMediaType": "application/json",
                                "contentSchema": schema,
                            })
                        };
                        *inner = json!({"itemSchema": {
                            "type": "object",
                            "required": ["data"],
                            "properties": {
                                "data": data,
                                "event": {"type": "string", "description": "The same as the data's `type`"},
                                "id": {"type": "string", "description": "The cursor after this event"},
                                "retry": {"type": "integer", "minimum": 0},
                            },
                        }});
                    }
                    "application/x-ndjson" => {
                        *inner = json!({"itemSchema": inner["schema"].take()});
                    }
                    _ => describe_items(inner),
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(describe_items),
        _ => {}
    }
}

/// `/openapi.yaml`: the same text as the file at the top of the repository.
pub async fn yaml() -> HttpResponse {
    match document().to_yaml() {
        Ok(text) => HttpResponse::Ok()
            .content_type("application/yaml")
            .body(text),
        Err(_) => HttpResponse::InternalServerError().finish(),
    }
}

/// `/openapi.json`
pub async fn json() -> HttpResponse {
    HttpResponse::Ok().json(document())
}

/// `/openapi-3.2.json`
pub async fn json_3_2() -> HttpResponse {
    HttpResponse::Ok().json(document_3_2())
}

/// `/docs` leads to the page, and so does `/` when there is no playground.
pub async fn index() -> HttpResponse {
    HttpResponse::SeeOther()
        .insert_header((actix_web::http::header::LOCATION, "/docs/"))
        .finish()
}
