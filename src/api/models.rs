//! The models by their public names, as OpenAI's clients ask for them.

use std::time::{SystemTime, UNIX_EPOCH};

use actix_web::{HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use super::Api;
use super::credentials::{Caller, Read};
use super::problem::{ApiError, Errors};

/// A model.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Model {
    /// What requests call it.
    #[schema(example = "demo")]
    id: String,
    /// Always `model`.
    #[schema(pattern = "^model$")]
    object: &'static str,
    /// Seconds since the Unix epoch; a model has no age here, so it is when you ask.
    created: u64,
    /// Always `tailrace`.
    owned_by: &'static str,
}

/// Every model.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ModelList {
    /// Always `list`.
    #[schema(pattern = "^list$")]
    object: &'static str,
    /// By name.
    data: Vec<Model>,
}

fn model(id: String) -> Model {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    Model {
        id,
        object: "model",
        created: now.unwrap_or_default().as_secs(),
        owned_by: "tailrace",
    }
}

/// List the models
#[utoipa::path(
    get, path = "/v1/models", tag = "openai", operation_id = "listModels",
    responses((status = 200, description = "The models", body = ModelList), Errors),
)]
pub(super) async fn list(_: Caller<Read>, api: web::Data<Api>) -> Result<HttpResponse, ApiError> {
    let names = api.generations.models().await?;
    Ok(HttpResponse::Ok().json(ModelList {
        object: "list",
        data: names.into_iter().map(model).collect(),
    }))
}

/// Look at a model
#[utoipa::path(
    get, path = "/v1/models/{id}", tag = "openai", operation_id = "getModel",
    params(("id" = String, Path, description = "The model's public name")),
    responses((status = 200, description = "The model", body = Model), Errors),
)]
pub(super) async fn show(
    _: Caller<Read>,
    api: web::Data<Api>,
    id: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let name = api.generations.resolve(Some(&id)).await?;
    Ok(HttpResponse::Ok().json(model(name)))
}
