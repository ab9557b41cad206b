//! What is not part of the API: metrics, probes, health, and the status page.

use std::sync::Arc;
use std::time::SystemTime;

use axum::body::Body;
use axum::extract::{Query, Request, State};
use axum::http::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue};
use axum::http::{Response, StatusCode};
use larder_core::Time;
use tokio::time::timeout;

use crate::exposition::Format;
use crate::metrics as own;
use crate::problem::problem;
use crate::redis_metrics::redis_metrics;
use crate::routes::unanswered;
use crate::state::Shared;
use crate::status_page;
use crate::target;

/// `GET /metrics`.
pub(crate) async fn metrics(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
) -> Response<Body> {
    let format = accepted(&headers);
    let (source, kept) = (shared.source.clone(), shared.kept.clone());
    match shared.work.scrape.run(move || own::write(&source.exposed(), format, &kept)).await {
        Ok(text) => plain(format.content_type(), text),
        Err(why) => unanswered(why),
    }
}

/// `GET /probe?target=`: one Redis, asked now.
pub(crate) async fn probe(State(shared): State<Arc<Shared>>, request: Request) -> Response<Body> {
    let format = accepted(request.headers());
    let pairs = Query::<Vec<(String, String)>>::try_from_uri(request.uri());
    let pairs = pairs.map(|query| query.0).unwrap_or_default();
    let Some((_, wanted)) = pairs.into_iter().find(|(name, _)| name == "target") else {
        return problem(StatusCode::BAD_REQUEST, "the parameter target is missing");
    };
    let source = shared.source.clone();
    let asked = shared.work.probe.run(move || {
        let target = target::allowed(&wanted, &source.probe_targets())?;
        Some(source.probe(&target).map_err(|why| (target, why)))
    });
    let Ok(answer) = timeout(shared.limits.probe_time, asked).await else {
        let seconds = shared.limits.probe_time.as_secs_f64();
        let detail = format!("the target did not answer within {seconds} s");
        return problem(StatusCode::GATEWAY_TIMEOUT, &detail);
    };
    let facts = match answer {
        Err(why) => return unanswered(why),
        Ok(None) => {
            let detail = "this target is not one that may be asked; name it in the settings";
            return problem(StatusCode::FORBIDDEN, detail);
        }
        Ok(Some(Ok(facts))) => Some(facts),
        Ok(Some(Err((target, why)))) => {
            (shared.say)(&format!("probe of {target} failed: {why}"));
            None
        }
    };
    plain(format.content_type(), redis_metrics(facts.as_ref(), format))
}

/// `GET /healthz`: it answers.
pub(crate) async fn healthy() -> Response<Body> {
    plain("text/plain; charset=utf-8", "ok\n".to_owned())
}

/// `GET /readyz`: it can do its work.
pub(crate) async fn ready(State(shared): State<Arc<Shared>>) -> Response<Body> {
    let source = shared.source.clone();
    match shared.work.scrape.run(move || source.ready()).await {
        Ok(Ok(())) => plain("text/plain; charset=utf-8", "ready\n".to_owned()),
        Ok(Err(why)) => problem(StatusCode::SERVICE_UNAVAILABLE, &why),
        Err(why) => unanswered(why),
    }
}

/// `GET /`: the caches at one glance.
pub(crate) async fn status(State(shared): State<Arc<Shared>>) -> Response<Body> {
    let source = shared.source.clone();
    let page = shared.work.scrape.run(move || status_page::html(&source.exposed(), now()));
    match page.await {
        Ok(html) => plain("text/html; charset=utf-8", html),
        Err(why) => unanswered(why),
    }
}

/// `GET /status.css`.
pub(crate) async fn style() -> Response<Body> {
    plain("text/css; charset=utf-8", include_str!("status.css").to_owned())
}

fn accepted(headers: &HeaderMap) -> Format {
    let values = headers.get_all(ACCEPT).into_iter().filter_map(|value| value.to_str().ok());
    Format::accepted(&values.collect::<Vec<_>>().join(","))
}

fn plain(kind: &'static str, text: String) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

fn now() -> Time {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Time::from_unix(0).plus(since)
}
