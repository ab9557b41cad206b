//! The HTTP API: one table of endpoints, from which routes and the OpenAPI document are made.
//!
//! Each answers with the document that the command of its name prints with `--json`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use larder_core::check::Approval;
use larder_engine::report::{By, DuReport};
use larder_history::{EventFilter, Reader};
use larder_server::{ApiRequest, ApiResponse, Endpoint, Method, ParamKind};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::daemon::{DU_BY, Live, TRIGGER, Wish, check_trigger};
use crate::exit::{CliError, Exit};
use crate::waiting;
use crate::wire::{EventsDoc, HealthDoc, PlansDoc, StatusDoc, TrendDoc};
use crate::wire_alerts::AlertsDoc;
use crate::wire_plan::{PlanDoc, PlanFile};
use crate::wire_status::DuDoc;

/// What the handlers share.
#[derive(Clone)]
pub(crate) struct Api {
    pub live: Arc<Live>,
    pub state: PathBuf,
}

/// What was asked for and is not done yet.
#[derive(Clone, Debug, Serialize, JsonSchema)]
struct Accepted {
    /// What happens next, for people.
    message: String,
}

/// The schema of a document.
fn schema<T: JsonSchema>() -> Value {
    serde_json::to_value(schemars::schema_for!(T)).unwrap_or_default()
}

fn document<T: Serialize>(document: &T) -> ApiResponse {
    match serde_json::to_value(document) {
        Ok(value) => ApiResponse::ok(value),
        Err(error) => ApiResponse::problem(500, "it cannot be written").because(error.to_string()),
    }
}

fn failed(error: &CliError) -> ApiResponse {
    let status = match error.exit {
        Exit::Usage => 404,
        Exit::Refused => 409,
        // What failed on this machine is not for everybody who may ask.
        _ => {
            return ApiResponse::problem(500, "larder failed to do it; its log says why")
                .because(error.what.clone());
        }
    };
    ApiResponse::problem(status, error.what.clone())
}

/// Who answers, of a request that is kept by the caller.
type Handler = fn(&Api, &ApiRequest) -> ApiResponse;

const NOT_YET: &str = "nothing was measured yet; ask again in a moment";

/// The table.
pub(crate) fn endpoints(api: &Api) -> Vec<Endpoint> {
    let mut all = reading(api);
    all.extend(changing(api));
    all
}

fn reading(api: &Api) -> Vec<Endpoint> {
    let get = |path: &str, response, handler: Handler| {
        let api = api.clone();
        Endpoint::new(Method::Get, path, response, move |request| handler(&api, &request))
    };
    vec![
        get("/api/v1/status", schema::<StatusDoc>(), status)
            .summary("Every cache, as the last full scan saw it"),
        get("/api/v1/du", schema::<DuDoc>(), usage)
            .summary("Where the bytes of Go's caches are, as the last full scan saw it")
            .param("by", ParamKind::OneOf(DU_BY.map(By::name).to_vec()), "The key of the rows")
            .param("cache", ParamKind::Text, "Only of this cache")
            .param("top", ParamKind::Whole(1000), "At most so many rows"),
        get("/api/v1/health", schema::<HealthDoc>(), health)
            .summary("How well each cache is, with a reason for every point lost"),
        get("/api/v1/alerts", schema::<AlertsDoc>(), alerts).summary("What fires"),
        get("/api/v1/trend", schema::<TrendDoc>(), trend).summary("How each cache grows"),
        get("/api/v1/plans", schema::<PlansDoc>(), plans)
            .summary("The plans that wait for an approval"),
        get("/api/v1/plans/{id}", schema::<PlanDoc>(), plan).summary("One plan, as its file says"),
        get("/api/v1/events", schema::<EventsDoc>(), events)
            .summary("What happened, the newest last")
            .param("limit", ParamKind::Whole(1000), "At most so many")
            .param("cache", ParamKind::Text, "Only about this cache")
            .param("kind", ParamKind::Text, "Only of this kind"),
    ]
}

fn changing(api: &Api) -> Vec<Endpoint> {
    let post = |path: &str, handler: Handler| {
        let api = api.clone();
        let handler = move |request| handler(&api, &request);
        Endpoint::new(Method::Post, path, schema::<Accepted>(), handler).changes()
    };
    vec![
        post("/api/v1/plans/{id}/approve", approve)
            .summary("Approve a plan that waits, which is then applied in its hours"),
        post("/api/v1/plans/{id}/apply", apply)
            .summary("Apply a plan that was approved, in its hours"),
        post("/api/v1/runs/{trigger}", run)
            .part("trigger", TRIGGER)
            .summary("Go through the cycle now, for the reason of this name"),
    ]
}

fn status(api: &Api, _: &ApiRequest) -> ApiResponse {
    let known = api.live.know();
    let Some(report) = known.report.clone() else { return ApiResponse::problem(503, NOT_YET) };
    let doc = StatusDoc::from(&*report).with_redis(known.redis.iter().map(|row| &**row));
    drop(known);
    document(&doc)
}

fn usage(api: &Api, request: &ApiRequest) -> ApiResponse {
    let by = request.query("by").unwrap_or(By::Kind.name());
    let Some(report) = api.live.know().du.get(by).cloned() else {
        return ApiResponse::problem(503, NOT_YET);
    };
    let cache = request.query("cache");
    let rows = report.rows.iter().filter(|row| cache.is_none_or(|name| row.cache.name() == name));
    let mut rows: Vec<_> = rows.cloned().collect();
    let total = rows.iter().map(|row| row.size).sum();
    let top = request.whole("top").and_then(|top| usize::try_from(top).ok());
    let shown = top.unwrap_or(rows.len()).min(rows.len());
    let omitted = rows.len() - shown;
    rows.truncate(shown);
    document(&DuDoc::from(&DuReport { rows, total, omitted }))
}

fn health(api: &Api, _: &ApiRequest) -> ApiResponse {
    document(&HealthDoc::from(&api.live.know().health[..]))
}

fn alerts(api: &Api, _: &ApiRequest) -> ApiResponse {
    document(&AlertsDoc::from(&api.live.know().board))
}

fn trend(api: &Api, _: &ApiRequest) -> ApiResponse {
    match api.live.know().trend.clone() {
        Some(doc) => ApiResponse::ok(doc),
        None => ApiResponse::problem(503, NOT_YET),
    }
}

fn plans(api: &Api, _: &ApiRequest) -> ApiResponse {
    document(&PlansDoc::from(&waiting::list(&api.state)[..]))
}

/// The text of a plan that waits.
fn read(state: &Path, id: &str) -> Result<(PathBuf, String), CliError> {
    let path = waiting::by_whole_id(state, id)?;
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok((path, text)),
        // A newer one took its place, or it was applied, in between.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(CliError::new(Exit::Usage, format!("no plan {id:?} waits any more")))
        }
        Err(error) => Err(CliError::io("read", &path, &error)),
    }
}

fn plan(api: &Api, request: &ApiRequest) -> ApiResponse {
    let text = match read(&api.state, request.part("id")) {
        Ok((_, text)) => text,
        Err(error) => return failed(&error),
    };
    serde_json::from_str::<Value>(&text).map_or_else(
        |error| ApiResponse::problem(500, "the plan cannot be read").because(error.to_string()),
        ApiResponse::ok,
    )
}

fn approve(api: &Api, request: &ApiRequest) -> ApiResponse {
    let approved = read(&api.state, request.part("id")).and_then(|(path, text)| {
        let file = PlanFile::parse(&text).map_err(|bad| bad.in_file(&path))?;
        let text = file.approved(larder_fs::now(), "the HTTP API");
        larder_fs::write_atomic(&path, text.as_bytes())
            .map_err(|error| CliError::io("write", &path, &error))
    });
    match approved {
        Ok(()) => {
            api.live.wish(Wish::Plans);
            accepted("approved; it is applied in its hours")
        }
        Err(error) => failed(&error),
    }
}

fn apply(api: &Api, request: &ApiRequest) -> ApiResponse {
    let id = request.part("id");
    let found = waiting::by_whole_id(&api.state, id).map(|path| waiting::at(&path));
    match found {
        Err(error) => failed(&error),
        Ok(Some(plan)) if plan.approval == Approval::Given => {
            api.live.wish(Wish::Plans);
            accepted("it is applied in its hours")
        }
        Ok(_) => {
            ApiResponse::problem(409, format!("plan {id} is not approved, or changed since it was"))
        }
    }
}

fn run(api: &Api, request: &ApiRequest) -> ApiResponse {
    let name = request.part("trigger");
    if let Err(why) = check_trigger(name) {
        return ApiResponse::problem(400, why);
    }
    if !api.live.wish(Wish::Run(name.to_owned())) {
        return ApiResponse::problem(503, "too many runs wait already");
    }
    accepted("it is done next")
}

fn accepted(message: &str) -> ApiResponse {
    let doc = Accepted { message: message.to_owned() };
    ApiResponse::accepted(serde_json::to_value(doc).unwrap_or_default())
}

fn events(api: &Api, request: &ApiRequest) -> ApiResponse {
    let filter = EventFilter {
        cache: request.query("cache").map(str::to_owned),
        kinds: request.query("kind").map(str::to_owned).into_iter().collect(),
        limit: Some(usize::try_from(request.whole("limit").unwrap_or(100)).unwrap_or(100)),
        ..EventFilter::default()
    };
    let reader = Reader::new(&api.state.join("history.db"));
    match reader.events(&filter) {
        Ok(events) => document(&EventsDoc::new(&events)),
        Err(error) => {
            ApiResponse::problem(503, "the history cannot be read").because(error.to_string())
        }
    }
}

/// The description of the API, without a daemon.
pub(crate) fn description() -> Value {
    let nowhere = Api { live: Arc::default(), state: PathBuf::new() };
    larder_server::openapi(&endpoints(&nowhere))
}
