//! The endpoints of the table over HTTP: their checks, and the threads that they run on.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{Query, RawPathParams, Request, State};
use axum::http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue};
use axum::http::{Response, StatusCode, Uri};
use axum::routing::{MethodFilter, MethodRouter};
use serde_json::Value;
use tokio::time::timeout;

use crate::endpoint::{Answer, ApiRequest, ApiResponse, Endpoint, Method};
use crate::problem::problem;
use crate::routes::{refused, unanswered};
use crate::server::Limits;
use crate::state::Shared;
use crate::work::NoAnswer;

/// What is wrong with a request, ready to be sent.
type Refused = Response<Body>;

/// `router` with all endpoints.
pub(crate) fn routes(
    mut router: Router<Arc<Shared>>,
    endpoints: &[Arc<Endpoint>],
) -> Router<Arc<Shared>> {
    let mut paths: BTreeMap<&str, MethodRouter<Arc<Shared>>> = BTreeMap::new();
    for endpoint in endpoints {
        let filter = match endpoint.method {
            Method::Get => MethodFilter::GET,
            Method::Post => MethodFilter::POST,
            Method::Put => MethodFilter::PUT,
            Method::Delete => MethodFilter::DELETE,
        };
        let own = endpoint.clone();
        let handler = move |State(shared): State<Arc<Shared>>,
                            params: Result<RawPathParams, RawPathParamsRejection>,
                            request: Request| async move {
            answer(&shared, own, params, request).await.unwrap_or_else(|refused| refused)
        };
        let methods = paths.remove(&*endpoint.path).unwrap_or_default();
        paths.insert(&endpoint.path, methods.on(filter, handler));
    }
    for (path, methods) in paths {
        router = router.route(path, methods);
    }
    router
}

/// The OpenAPI document.
pub(crate) async fn description(State(shared): State<Arc<Shared>>) -> Response<Body> {
    json(StatusCode::OK, Body::from(shared.description.clone()))
}

async fn answer(
    shared: &Arc<Shared>,
    endpoint: Arc<Endpoint>,
    params: Result<RawPathParams, RawPathParamsRejection>,
    request: Request,
) -> Result<Response<Body>, Refused> {
    if endpoint.changes {
        shared.gate.may_change(request.headers()).map_err(refused)?;
    }
    let params = params.map_err(|_| bad("a part of the path is not UTF-8"))?;
    let path = params.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let query = query(&endpoint, request.uri()).map_err(|detail| bad(&detail))?;
    let body = body(&endpoint, shared.limits, request).await?;
    let asked = ApiRequest { path, query, body };
    let name = format!("{endpoint:?}");
    let run = shared.work.api.run(move || (endpoint.handler)(asked)).await;
    let response = run.map_err(|why| {
        if why == NoAnswer::Broken {
            (shared.say)(&format!("{name} failed: its handler panicked"));
        }
        unanswered(why)
    })?;
    if let Some(private) = &response.private {
        (shared.say)(&format!("{name} failed: {private}"));
    }
    Ok(written(&response))
}

fn written(response: &ApiResponse) -> Response<Body> {
    let status = StatusCode::from_u16(response.status);
    let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    match &response.body {
        Answer::Document(document) => json(status, Body::from(document.to_string())),
        Answer::Problem(detail) => problem(status, detail),
    }
}

fn json(status: StatusCode, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

fn bad(detail: &str) -> Refused {
    problem(StatusCode::BAD_REQUEST, detail)
}

/// The query, held against the table; what is wrong with it, for everybody to read.
fn query(endpoint: &Endpoint, uri: &Uri) -> Result<BTreeMap<String, String>, String> {
    let pairs = Query::<Vec<(String, String)>>::try_from_uri(uri)
        .map_err(|_| "the query cannot be read".to_owned())?
        .0;
    let mut query = BTreeMap::new();
    for (name, value) in pairs {
        let Some(param) = endpoint.params.iter().find(|param| param.name == name) else {
            let known: Vec<&str> = endpoint.params.iter().map(|param| param.name).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            return Err(format!("no parameter is called {name:?}; there are: {known}"));
        };
        if let Some(wanted) = param.kind.refuse(&value) {
            return Err(format!("the parameter {name} is {value:?}; it must be {wanted}"));
        }
        if query.insert(name, value).is_some() {
            return Err(format!("the parameter {} stands twice", param.name));
        }
    }
    let missing = endpoint.params.iter().find(|p| p.required && !query.contains_key(p.name));
    match missing {
        Some(param) => Err(format!("the parameter {} is missing", param.name)),
        None => Ok(query),
    }
}

/// The body, where the endpoint takes one.
async fn body(
    endpoint: &Endpoint,
    limits: Limits,
    request: Request,
) -> Result<Option<Value>, Refused> {
    let length = request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    let length = length.and_then(|text| text.parse::<u64>().ok());
    if length.is_some_and(|length| length > limits.body_bytes as u64) {
        return Err(too_large(limits));
    }
    let is_json = says_json(request.headers());
    let read = timeout(limits.body_time, to_bytes(request.into_body(), limits.body_bytes)).await;
    let Ok(read) = read else {
        let late = problem(StatusCode::REQUEST_TIMEOUT, "the body of the request did not arrive");
        return Err(closing(late));
    };
    let bytes = read.map_err(|_| too_large(limits))?;
    if endpoint.request.is_none() {
        return if bytes.is_empty() { Ok(None) } else { Err(bad("this takes no body")) };
    }
    // Without this a form of another site could pass for JSON.
    if !is_json {
        let detail = "the body must be JSON, with the header 'Content-Type: application/json'";
        return Err(problem(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
    }
    let value = serde_json::from_slice(&bytes)
        .map_err(|error| bad(&format!("the body is not JSON: {error}")))?;
    Ok(Some(value))
}

fn says_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default();
    kind.trim().eq_ignore_ascii_case("application/json")
}

fn too_large(limits: Limits) -> Refused {
    let detail = format!("the body is larger than {} bytes", limits.body_bytes);
    closing(problem(StatusCode::PAYLOAD_TOO_LARGE, &detail))
}

/// What is left of the body is not read, so that nothing can follow it.
fn closing(mut response: Response<Body>) -> Refused {
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}
