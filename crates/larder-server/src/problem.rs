//! Errors as `application/problem+json` (RFC 9457), with a message that anybody may read.

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::http::{Response, StatusCode};
use serde_json::{Value, json};

/// The answer that says what was wrong. `detail` is shown to whoever asked.
pub(crate) fn problem(status: StatusCode, detail: &str) -> Response<Body> {
    let body = document(status, detail).to_string();
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("application/problem+json");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

fn document(status: StatusCode, detail: &str) -> Value {
    json!({
        "type": "about:blank",
        "title": status.canonical_reason().unwrap_or("Unknown"),
        "status": status.as_u16(),
        "detail": detail,
    })
}

/// The JSON Schema of what [`problem`] answers.
pub(crate) fn schema() -> Value {
    json!({
        "type": "object",
        "description": "What was wrong (RFC 9457).",
        "properties": {
            "type": {"type": "string"},
            "title": {"type": "string", "description": "The meaning of the status."},
            "status": {"type": "integer"},
            "detail": {"type": "string", "description": "What was wrong with this request."},
        },
        "required": ["type", "title", "status", "detail"],
    })
}
