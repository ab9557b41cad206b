//! The table of the API: each endpoint with what it takes, what it answers and who answers.
//!
//! Routes, checks and the OpenAPI document are made from this one table, so that none of them can
//! say something else than the others.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde_json::{Value, json};

/// Where every path of the API begins.
pub const API: &str = "/api/v1/";

/// Answers a request. It runs on a thread that may block.
pub type Handler = Arc<dyn Fn(ApiRequest) -> ApiResponse + Send + Sync>;

/// What a request wants done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Method {
    /// Reads.
    Get,
    /// Computes or changes something.
    Post,
    /// Puts something in the place of what is there.
    Put,
    /// Removes.
    Delete,
}

impl Method {
    /// As in an OpenAPI document: `get`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Post => "post",
            Self::Put => "put",
            Self::Delete => "delete",
        }
    }
}

/// One endpoint.
#[derive(Clone)]
pub struct Endpoint {
    /// What it wants done.
    pub method: Method,
    /// From `/api/v1/`; `{name}` stands for one part of the path.
    pub path: String,
    /// One sentence, no full stop.
    pub summary: String,
    /// What parts of the path look like, by name, as a regular expression; the handler checks it.
    pub parts: Vec<(&'static str, &'static str)>,
    /// What may stand in the query; anything else is refused.
    pub params: Vec<Param>,
    /// The JSON Schema of the body; `None` where there is none.
    pub request: Option<Value>,
    /// The JSON Schema of the answer.
    pub response: Value,
    /// Whether it changes anything outside larder's own memory. Such a request must prove that it
    /// may.
    pub changes: bool,
    /// Who answers.
    pub handler: Handler,
}

impl Endpoint {
    /// An endpoint that answers with documents of the JSON Schema `response`.
    pub fn new(
        method: Method,
        path: &str,
        response: Value,
        handler: impl Fn(ApiRequest) -> ApiResponse + Send + Sync + 'static,
    ) -> Self {
        Self {
            method,
            path: path.to_owned(),
            summary: String::new(),
            parts: Vec::new(),
            params: Vec::new(),
            request: None,
            response,
            changes: false,
            handler: Arc::new(handler),
        }
    }

    /// With one sentence about it.
    #[must_use]
    pub fn summary(mut self, summary: &str) -> Self {
        summary.clone_into(&mut self.summary);
        self
    }

    /// A part of its path that the handler takes only in this form, as a regular expression.
    #[must_use]
    pub fn part(mut self, name: &'static str, pattern: &'static str) -> Self {
        self.parts.push((name, pattern));
        self
    }

    /// With a query parameter.
    #[must_use]
    pub fn param(mut self, name: &'static str, kind: ParamKind, summary: &str) -> Self {
        let summary = summary.to_owned();
        self.params.push(Param { name, kind, summary, required: false });
        self
    }

    /// Its body has this JSON Schema.
    #[must_use]
    pub fn takes(mut self, schema: Value) -> Self {
        self.request = Some(schema);
        self
    }

    /// It changes something.
    #[must_use]
    pub fn changes(mut self) -> Self {
        self.changes = true;
        self
    }

    /// Without its schemas, which only its description needs.
    pub(crate) fn described(mut self) -> Self {
        self.response = Value::Null;
        self.request = self.request.map(|_| Value::Null);
        self
    }

    /// The names between braces in its path.
    pub(crate) fn path_params(&self) -> impl Iterator<Item = &str> {
        let parts = self.path.split('/');
        parts.filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
    }

    /// What makes it the same as another: its path without the names of its parts.
    fn shape(&self) -> String {
        let part = |part| if is_param(part) { "{}" } else { part };
        self.path.split('/').map(part).collect::<Vec<_>>().join("/")
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method.name(), self.path)
    }
}

fn is_param(part: &str) -> bool {
    part.starts_with('{') && part.ends_with('}')
}

/// Says what is wrong with a table, which is a mistake of whoever wrote it.
pub(crate) fn check(endpoints: &[Endpoint]) -> Result<(), String> {
    let mut shapes: BTreeMap<String, &str> = BTreeMap::new();
    let mut seen: Vec<(Method, &str)> = Vec::new();
    for endpoint in endpoints {
        let path = endpoint.path.as_str();
        let plain = |part: &str| {
            let name = part.strip_prefix('{').and_then(|part| part.strip_suffix('}'));
            let name = name.unwrap_or(part);
            !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
        };
        if path.strip_prefix(API).is_none_or(|rest| !rest.split('/').all(plain)) {
            return Err(format!("{endpoint:?}: the path is not {API} and plain parts"));
        }
        if OWN.contains(&path) {
            return Err(format!("{endpoint:?}: the server answers this path itself"));
        }
        if seen.contains(&(endpoint.method, path)) {
            return Err(format!("{endpoint:?} stands twice in the table"));
        }
        seen.push((endpoint.method, path));
        if shapes.insert(endpoint.shape(), path).is_some_and(|other| other != path) {
            return Err(format!("{endpoint:?}: another path differs only in names of its parts"));
        }
        if endpoint.changes && endpoint.method == Method::Get {
            return Err(format!("{endpoint:?}: what only reads cannot change anything"));
        }
    }
    Ok(())
}

/// Paths below [`API`] that the server answers itself.
pub(crate) const OWN: [&str; 2] = [DESCRIPTION, STREAM];
/// The OpenAPI document.
pub(crate) const DESCRIPTION: &str = "/api/v1/openapi.json";
/// Events as they happen.
pub(crate) const STREAM: &str = "/api/v1/events/stream";

/// A query parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Param {
    /// Its name.
    pub name: &'static str,
    /// What it may be.
    pub kind: ParamKind,
    /// One sentence, no full stop.
    pub summary: String,
    /// Whether a request without it is refused.
    pub required: bool,
}

/// What a parameter may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ParamKind {
    /// Any text; what it means is the handler's to check.
    Text,
    /// A whole number from 0 to the given one.
    Whole(u64),
    /// `true` or `false`.
    Flag,
    /// One of these words.
    OneOf(Vec<&'static str>),
}

impl ParamKind {
    pub(crate) fn schema(&self) -> Value {
        match self {
            Self::Text => json!({"type": "string"}),
            Self::Whole(most) => json!({"type": "integer", "minimum": 0, "maximum": most}),
            Self::Flag => json!({"type": "boolean"}),
            Self::OneOf(words) => json!({"type": "string", "enum": words}),
        }
    }

    /// What is wrong with a value, in the words of an answer.
    pub(crate) fn refuse(&self, value: &str) -> Option<String> {
        match self {
            Self::Text => None,
            Self::Whole(most) => {
                let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
                let number: Option<u64> = value.parse().ok().filter(|number| number <= most);
                (!digits || number.is_none()).then(|| format!("a whole number up to {most}"))
            }
            Self::Flag => (!["true", "false"].contains(&value)).then(|| "true or false".to_owned()),
            Self::OneOf(words) => {
                (!words.contains(&value)).then(|| format!("one of {}", words.join(", ")))
            }
        }
    }
}

/// What a handler is asked. Its parameters are of the kinds in the table, its body is JSON; whether
/// the body means something is the handler's to check.
#[derive(Clone, Debug, Default)]
pub struct ApiRequest {
    /// The parts of the path that stand between braces.
    pub path: BTreeMap<String, String>,
    /// The query.
    pub query: BTreeMap<String, String>,
    /// The body.
    pub body: Option<Value>,
}

impl ApiRequest {
    /// A part of the path; empty where the path has no such part.
    pub fn part(&self, name: &str) -> &str {
        self.path.get(name).map_or("", String::as_str)
    }

    /// A query parameter as it stands.
    pub fn query(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str)
    }

    /// A whole number of the query.
    pub fn whole(&self, name: &str) -> Option<u64> {
        self.query(name)?.parse().ok()
    }

    /// Whether a flag of the query is `true`.
    pub fn flag(&self, name: &str) -> bool {
        self.query(name) == Some("true")
    }
}

/// What a handler answers.
#[derive(Clone, Debug, PartialEq)]
pub struct ApiResponse {
    /// The status of HTTP.
    pub status: u16,
    /// The document, or what went wrong in words for everybody.
    pub body: Answer,
    /// What went wrong in words for the log alone.
    pub private: Option<String>,
}

/// The body of an answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// A document of the endpoint's schema.
    Document(Value),
    /// What went wrong.
    Problem(String),
}

impl ApiResponse {
    /// 200 with a document.
    pub fn ok(document: Value) -> Self {
        Self { status: 200, body: Answer::Document(document), private: None }
    }

    /// 202 with a document: it was taken, and is not done yet.
    pub fn accepted(document: Value) -> Self {
        Self { status: 202, ..Self::ok(document) }
    }

    /// An error with a message that anybody may read: 400 and up.
    pub fn problem(status: u16, public: impl Into<String>) -> Self {
        Self { status, body: Answer::Problem(public.into()), private: None }
    }

    /// With a message for the log alone.
    #[must_use]
    pub fn because(mut self, private: impl Into<String>) -> Self {
        self.private = Some(private.into());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(method: Method, path: &str) -> Endpoint {
        Endpoint::new(method, path, json!({}), |_| ApiResponse::ok(json!({})))
    }

    #[test]
    fn a_table_without_a_mistake_and_those_with_one() {
        let good = [
            endpoint(Method::Get, "/api/v1/plans"),
            endpoint(Method::Get, "/api/v1/plans/{id}"),
            endpoint(Method::Delete, "/api/v1/plans/{id}").changes(),
            endpoint(Method::Post, "/api/v1/plans/{id}/approve").changes(),
        ];
        check(&good).unwrap();
        let names: Vec<&str> = good[3].path_params().collect();
        assert_eq!(names, ["id"]);
        let bad = [
            (endpoint(Method::Get, "/plans"), "plain parts"),
            (endpoint(Method::Get, "/api/v1/"), "plain parts"),
            (endpoint(Method::Get, "/api/v1/{*rest}"), "plain parts"),
            (endpoint(Method::Get, "/api/v1/openapi.json"), "itself"),
            (endpoint(Method::Get, "/api/v1/plans"), "twice"),
            (endpoint(Method::Put, "/api/v1/plans/{name}"), "names of its parts"),
            (endpoint(Method::Get, "/api/v1/go").changes(), "only reads"),
        ];
        for (one, why) in bad {
            let mut table = good.to_vec();
            table.push(one);
            let error = check(&table).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn kinds_of_parameters() {
        let words = ParamKind::OneOf(vec!["age", "kind"]);
        let cases = [
            (ParamKind::Text, "anything", true),
            (ParamKind::Whole(10), "10", true),
            (ParamKind::Whole(10), "11", false),
            (ParamKind::Whole(10), "+1", false),
            (ParamKind::Whole(10), "", false),
            (ParamKind::Flag, "true", true),
            (ParamKind::Flag, "yes", false),
            (words.clone(), "age", true),
            (words, "Age", false),
        ];
        for (kind, value, good) in cases {
            assert_eq!(kind.refuse(value).is_none(), good, "{kind:?} {value:?}");
        }
    }
}
