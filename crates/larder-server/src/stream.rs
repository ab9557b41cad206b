//! `GET /api/v1/events/stream`: events as they happen.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue};
use axum::http::{Method, Response, StatusCode};

use crate::connection::Streaming;
use crate::events::EventBody;
use crate::problem::problem;
use crate::routes::unanswered;
use crate::state::Shared;
use crate::work::NoAnswer;

const LAST: HeaderName = HeaderName::from_static("last-event-id");

/// Begins a stream.
pub(crate) async fn stream(State(shared): State<Arc<Shared>>, request: Request) -> Response<Body> {
    let last = match request.headers().get(LAST).map(|value| value.to_str().unwrap_or("?").trim()) {
        None | Some("") => None,
        Some(text) => match text.parse() {
            Ok(id) => Some(id),
            Err(_) => {
                return problem(StatusCode::BAD_REQUEST, "Last-Event-ID is not one of an event");
            }
        },
    };
    let Ok(place) = shared.streams.clone().try_acquire_owned() else {
        return unanswered(NoAnswer::Busy);
    };
    let body = if request.method() == Method::HEAD {
        Body::empty()
    } else {
        let closing = shared.closing.clone();
        Body::new(EventBody::start(&shared.events, last, place, closing))
    };
    let mut response = Response::new(body);
    let kind = HeaderValue::from_static("text/event-stream");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    if request.method() != Method::HEAD {
        // Nothing follows a stream, so that nothing is waited for after its end.
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        response.extensions_mut().insert(Streaming);
    }
    response
}
