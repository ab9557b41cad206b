//! The paths of the server, and what holds for every request: who may ask, how long it may take,
//! and the headers that keep a browser from doing more than showing the answer.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::http::{Response, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::routing::get;
use tokio::time::timeout;

use crate::endpoint::{DESCRIPTION, STREAM};
use crate::guard::Refusal;
use crate::problem::problem;
use crate::state::Shared;
use crate::users::Claim;
use crate::web::Web;
use crate::work::NoAnswer;
use crate::{api, pages, stream};

/// Headers of every answer, where it does not have them already. Nothing of an answer is kept by
/// anybody, and a page loads nothing from elsewhere and runs no script.
const HEADERS: [(HeaderName, &str); 6] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (header::CACHE_CONTROL, "no-store"),
];

/// All paths.
pub(crate) fn router(shared: &Arc<Shared>) -> Router {
    let router = Router::new()
        .route("/", get(pages::status))
        .route("/status.css", get(pages::style))
        .route("/metrics", get(pages::metrics))
        .route("/probe", get(pages::probe))
        .route("/healthz", get(pages::healthy))
        .route("/readyz", get(pages::ready))
        .route(DESCRIPTION, get(api::description))
        .route(STREAM, get(stream::stream));
    api::routes(router, &shared.endpoints)
        .fallback(missing)
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn_with_state(shared.clone(), around))
        .with_state(shared.clone())
}

async fn missing() -> Response<Body> {
    problem(StatusCode::NOT_FOUND, "there is nothing at this path")
}

async fn wrong_method() -> Response<Body> {
    problem(StatusCode::METHOD_NOT_ALLOWED, "this path does not take that method")
}

/// What holds for every request.
async fn around(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response<Body> {
    let web = shared.web_now().await;
    let limit = shared.limits.request_time;
    let answer = timeout(limit, admitted(&shared, web.as_deref(), request, next)).await;
    let mut response = answer.unwrap_or_else(|_| {
        let detail = format!("no answer within {} s", limit.as_secs_f64());
        problem(StatusCode::GATEWAY_TIMEOUT, &detail)
    });
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    for (name, value) in web.iter().flat_map(|web| &web.headers) {
        headers.insert(name.clone(), value.clone());
    }
    response
}

async fn admitted(
    shared: &Shared,
    web: Option<&Web>,
    request: Request,
    next: Next,
) -> Response<Body> {
    if let Err(refusal) = shared.gate.admit(&request) {
        return refused(refusal);
    }
    if let Some(web) = web
        && let Err(response) = known(shared, web, request.headers()).await
    {
        return response;
    }
    next.run(request).await
}

/// The answer to a request that is refused.
pub(crate) fn refused(refusal: Refusal) -> Response<Body> {
    let mut response = problem(refusal.status, refusal.why);
    if refusal.status == StatusCode::UNAUTHORIZED {
        let challenge = HeaderValue::from_static("Bearer realm=\"larder\"");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    }
    response
}

/// Whether the request is one of a user, where there are users: by password, or by the token,
/// which may do more.
async fn known(shared: &Shared, web: &Web, headers: &HeaderMap) -> Result<(), Response<Body>> {
    if web.users.is_empty() || shared.gate.has_token(headers) {
        return Ok(());
    }
    let right = match Claim::of(headers) {
        None => false,
        Some(claim) if web.users.remembers(&claim) => true,
        Some(claim) => {
            let users = web.users.clone();
            shared.work.hash.run(move || users.verify(&claim)).await.map_err(unanswered)?
        }
    };
    if right {
        return Ok(());
    }
    let mut response = problem(StatusCode::UNAUTHORIZED, "a name and its password are needed");
    let challenge = HeaderValue::from_static("Basic realm=\"larder\", charset=\"UTF-8\"");
    response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    Err(response)
}

/// The answer where nobody answered.
pub(crate) fn unanswered(why: NoAnswer) -> Response<Body> {
    match why {
        NoAnswer::Busy => {
            let mut response =
                problem(StatusCode::SERVICE_UNAVAILABLE, "too many requests at once; ask again");
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            response
        }
        NoAnswer::Broken => {
            problem(StatusCode::INTERNAL_SERVER_ERROR, "larder failed to answer; its log says more")
        }
    }
}
