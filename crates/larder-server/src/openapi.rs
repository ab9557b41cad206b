//! The OpenAPI 3.1 document of the API (<https://spec.openapis.org/oas/v3.1.0>), made from the
//! table of endpoints and nothing else.

use serde_json::{Map, Value, json};

use crate::endpoint::{DESCRIPTION, Endpoint, STREAM};
use crate::problem;

/// The document that describes `endpoints`, and what the server answers itself below the API.
pub fn openapi(endpoints: &[Endpoint]) -> Value {
    let mut schemas = Schemas::default();
    schemas.known.insert("Problem".to_owned(), problem::schema());
    let mut paths = Map::new();
    for endpoint in endpoints {
        let item = paths.entry(endpoint.path.clone()).or_insert_with(|| json!({}));
        item[endpoint.method.name()] = operation(endpoint, &mut schemas);
    }
    paths.insert(DESCRIPTION.to_owned(), json!({"get": description()}));
    paths.insert(STREAM.to_owned(), json!({"get": stream()}));
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "larder",
            "summary": "Caches of this machine: what they take, what is wrong, what can go.",
            "version": env!("CARGO_PKG_VERSION"),
            "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": schemas.known,
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "Needed for what changes something, where a token is set.",
                },
            },
        },
    })
}

fn operation(endpoint: &Endpoint, schemas: &mut Schemas) -> Value {
    let id = operation_id(endpoint);
    let answer = schemas.take(&id, &endpoint.response);
    let mut operation = json!({
        "operationId": id,
        "summary": endpoint.summary,
        "responses": {
            "200": {
                "description": "Done.",
                "content": {"application/json": {"schema": answer}},
            },
            "default": problem_response(),
        },
    });
    let params: Vec<Value> = parameters(endpoint);
    if !params.is_empty() {
        operation["parameters"] = params.into();
    }
    if let Some(request) = &endpoint.request {
        let schema = schemas.take(&format!("{id}_request"), request);
        operation["requestBody"] = json!({
            "required": true,
            "content": {"application/json": {"schema": schema}},
        });
    }
    if endpoint.changes {
        let answer = operation["responses"]["200"]["content"].clone();
        operation["responses"]["202"] =
            json!({"description": "Taken, and not done yet.", "content": answer});
        operation["security"] = json!([{"token": []}]);
    }
    operation
}

fn parameters(endpoint: &Endpoint) -> Vec<Value> {
    let path = endpoint.path_params().map(|name| {
        let pattern = endpoint.parts.iter().find(|(part, _)| *part == name);
        let schema = match pattern {
            Some((_, pattern)) => json!({"type": "string", "pattern": pattern}),
            None => json!({"type": "string", "minLength": 1}),
        };
        json!({"name": name, "in": "path", "required": true, "schema": schema})
    });
    let query = endpoint.params.iter().map(|param| {
        json!({
            "name": param.name,
            "in": "query",
            "required": param.required,
            "description": param.summary,
            "schema": param.kind.schema(),
        })
    });
    path.chain(query).collect()
}

/// `get_caches_by_cache` of `GET /api/v1/caches/{cache}`.
fn operation_id(endpoint: &Endpoint) -> String {
    let mut id = endpoint.method.name().to_owned();
    for part in endpoint.path.split('/').skip(3) {
        let name = part.strip_prefix('{').and_then(|part| part.strip_suffix('}'));
        id.push_str(if name.is_some() { "_by_" } else { "_" });
        id.push_str(&name.unwrap_or(part).replace(['-', '.'], "_"));
    }
    id
}

fn problem_response() -> Value {
    json!({
        "description": "What was wrong.",
        "content": {
            "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}},
        },
    })
}

fn description() -> Value {
    json!({
        "operationId": "get_openapi",
        "summary": "This document",
        "responses": {
            "200": {
                "description": "Done.",
                "content": {"application/json": {"schema": {"type": "object"}}},
            },
            "default": problem_response(),
        },
    })
}

fn stream() -> Value {
    json!({
        "operationId": "stream_events",
        "summary": "Events as they happen, one JSON object each, as server-sent events",
        "parameters": [{
            "name": "Last-Event-ID",
            "in": "header",
            "required": false,
            "description": "The last event that is known; those after it come first",
            "schema": {"type": "string"},
        }],
        "responses": {
            "200": {
                "description": "A stream that does not end by itself.",
                "content": {"text/event-stream": {"schema": {"type": "string"}}},
            },
            "default": problem_response(),
        },
    })
}

/// The schemas that operations share. What a schema defines for itself becomes one of them, since
/// a reference in an OpenAPI document begins at the document, not at the schema.
#[derive(Default)]
struct Schemas {
    /// By name, as they stand in the document.
    known: Map<String, Value>,
    /// What each name was before its references were changed.
    plain: Map<String, Value>,
}

impl Schemas {
    /// A reference to `schema`, which is called by its title, else `name`.
    fn take(&mut self, name: &str, schema: &Value) -> Value {
        let mut schema = schema.clone();
        let Some(fields) = schema.as_object_mut() else { return schema };
        fields.remove("$schema");
        let definitions = match fields.remove("$defs") {
            Some(Value::Object(definitions)) => definitions,
            _ => Map::new(),
        };
        let title = fields.get("title").and_then(Value::as_str).map(str::to_owned);
        let names: Vec<(String, String)> = definitions
            .iter()
            .map(|(key, definition)| (key.clone(), self.reserve(key, definition)))
            .collect();
        for ((_, name), (_, definition)) in names.iter().zip(&definitions) {
            self.known.insert(name.clone(), redirected(definition, &names));
        }
        let name = self.reserve(&title.unwrap_or_else(|| name.to_owned()), &schema);
        self.known.insert(name.clone(), redirected(&schema, &names));
        json!({"$ref": reference(&name)})
    }

    /// A name for `schema` like `wished`: the same for the same schema, else with a number.
    fn reserve(&mut self, wished: &str, schema: &Value) -> String {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        let wished: String = wished.chars().map(|c| if allowed(c) { c } else { '_' }).collect();
        let numbers = std::iter::once(String::new()).chain((2..).map(|n: u32| n.to_string()));
        let mut names = numbers.map(|number| format!("{wished}{number}"));
        let free = |name: &String| {
            self.plain.get(name).map_or(!self.known.contains_key(name), |other| other == schema)
        };
        let name = names.find(free).unwrap_or(wished);
        self.plain.insert(name.clone(), schema.clone());
        name
    }
}

fn reference(name: &str) -> String {
    format!("#/components/schemas/{name}")
}

/// `schema` with each reference to a definition of its own led to where that now stands.
fn redirected(schema: &Value, names: &[(String, String)]) -> Value {
    match schema {
        Value::Object(fields) => {
            let fields = fields.iter().map(|(key, value)| {
                let target = value.as_str().and_then(|text| text.strip_prefix("#/$defs/"));
                let new = match (&key[..], target) {
                    ("$ref", Some(old)) => names.iter().find(|(name, _)| name == old),
                    _ => None,
                };
                let value = new.map_or_else(
                    || redirected(value, names),
                    |(_, name)| Value::String(reference(name)),
                );
                (key.clone(), value)
            });
            Value::Object(fields.collect())
        }
        Value::Array(items) => items.iter().map(|item| redirected(item, names)).collect(),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::{ApiResponse, Method, ParamKind};

    fn endpoint(method: Method, path: &str, response: Value) -> Endpoint {
        Endpoint::new(method, path, response, |_| ApiResponse::ok(json!({})))
    }

    #[test]
    fn one_path_of_the_table_is_one_item_with_its_operations() {
        let table = [
            endpoint(Method::Get, "/api/v1/caches/{cache}/rows", json!({"type": "object"}))
                .summary("Where the bytes are")
                .param("top", ParamKind::Whole(100), "How many rows"),
            endpoint(Method::Post, "/api/v1/caches/{cache}/rows", json!({"type": "array"}))
                .takes(json!({"type": "object", "required": ["a"]}))
                .changes(),
        ];
        let document = openapi(&table);
        let item = &document["paths"]["/api/v1/caches/{cache}/rows"];
        assert_eq!(item["get"]["operationId"], "get_caches_by_cache_rows");
        assert_eq!(item["get"]["parameters"][0]["in"], "path");
        assert_eq!(item["get"]["parameters"][1]["schema"]["maximum"], 100);
        assert!(item["get"]["security"].is_null());
        assert_eq!(item["post"]["security"][0]["token"], json!([]));
        assert_eq!(item["post"]["requestBody"]["required"], true);
        assert_eq!(
            document["components"]["schemas"]["post_caches_by_cache_rows_request"]["required"][0],
            "a"
        );
    }

    #[test]
    fn definitions_move_out_and_keep_apart() {
        let own = |kind: &str| {
            json!({
                "$schema": "https://json-schema.org/draft/2020-12/schema",
                "title": "Rows",
                "type": "object",
                "properties": {"$ref": {"$ref": "#/$defs/Row"}, "kind": {"const": kind}},
                "$defs": {
                    "Row": {"type": kind, "items": {"$ref": "#/$defs/Row"}},
                },
            })
        };
        let table = [
            endpoint(Method::Get, "/api/v1/a", own("array")),
            endpoint(Method::Get, "/api/v1/b", own("array")),
            endpoint(Method::Get, "/api/v1/c", own("object")),
        ];
        let document = openapi(&table);
        let schemas = document["components"]["schemas"].as_object().unwrap();
        let names: Vec<&String> = schemas.keys().collect();
        assert_eq!(names, ["Problem", "Row", "Row2", "Rows", "Rows2"]);
        assert_eq!(schemas["Row2"]["items"]["$ref"], "#/components/schemas/Row2");
        assert_eq!(schemas["Rows2"]["properties"]["$ref"]["$ref"], "#/components/schemas/Row2");
        assert!(!document.to_string().contains("$defs"), "{document}");
    }
}
