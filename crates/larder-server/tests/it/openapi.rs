//! The OpenAPI document: complete in itself, and true.

use std::collections::BTreeSet;

use larder_server::openapi;
use serde_json::Value;

use crate::support::{endpoints, get, options, start};

/// Calls `look` with every object of the document.
fn walk(value: &Value, look: &mut impl FnMut(&serde_json::Map<String, Value>)) {
    match value {
        Value::Object(fields) => {
            look(fields);
            fields.values().for_each(|value| walk(value, look));
        }
        Value::Array(items) => items.iter().for_each(|item| walk(item, look)),
        _ => (),
    }
}

#[test]
fn it_is_served_as_it_is_made() {
    let server = start(options());
    let document = get(server.address(), "/api/v1/openapi.json").json();
    assert_eq!(document, openapi(&endpoints()));
    assert_eq!(document["openapi"], "3.1.0");
}

#[test]
fn its_references_lead_somewhere_and_its_schemas_are_schemas() {
    let document = openapi(&endpoints());
    let mut references = 0;
    walk(&document, &mut |fields| {
        if let Some(Value::String(target)) = fields.get("$ref") {
            let pointer = target.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{target} leads nowhere");
            references += 1;
        }
    });
    assert!(references > 10, "{references}");
    let schemas = document["components"]["schemas"].as_object().unwrap();
    assert!(schemas.contains_key("Thing") && schemas.contains_key("Order"));
    for (name, schema) in schemas {
        assert!(jsonschema::draft202012::meta::is_valid(schema), "{name} is no schema");
    }
}

#[test]
fn each_operation_says_all_that_a_client_needs() {
    let document = openapi(&endpoints());
    let mut ids = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let id = operation["operationId"].as_str().unwrap();
            assert!(ids.insert(id), "{id} stands twice");
            assert!(!operation["summary"].as_str().unwrap().is_empty(), "{method} {path}");
            assert!(operation["responses"]["200"].is_object(), "{method} {path}");
            assert!(operation["responses"]["default"].is_object(), "{method} {path}");
            let empty = Vec::new();
            let params = operation["parameters"].as_array().unwrap_or(&empty);
            let in_path: Vec<String> = params
                .iter()
                .filter(|param| param["in"] == "path")
                .map(|param| format!("{{{}}}", param["name"].as_str().unwrap()))
                .collect();
            let parts: Vec<&str> = path.split('/').filter(|part| part.starts_with('{')).collect();
            assert_eq!(in_path, parts, "{method} {path}");
        }
    }
    assert_eq!(ids.len(), endpoints().len() + 2);
}

#[test]
fn what_is_answered_is_what_it_says() {
    let server = start(options());
    let document = openapi(&endpoints());
    let mut schema = document["components"]["schemas"]["Thing"].clone();
    schema["components"] = document["components"].clone();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let answer = get(server.address(), "/api/v1/caches/build").json();
    assert!(validator.is_valid(&answer), "{answer}");
    assert!(!validator.is_valid(&serde_json::json!({"schema": "larder/thing/1"})));
}
