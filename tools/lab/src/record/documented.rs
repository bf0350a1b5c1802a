//! Holds `docs/lab.md` and the layout together: each field of a full record has its row, and each row a field.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use serde_json::Value;

use super::{SCHEMA, sample};

/// Paths of all fields, an index as `*`. A list of pairs of numbers is one field.
fn paths(value: &Value, path: &str, all: &mut BTreeSet<String>) {
    let below = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                paths(value, &below(key), all);
            }
        }
        Value::Array(list) if !list.is_empty() && !list.iter().all(Value::is_array) => {
            for value in list {
                paths(value, &below("*"), all);
            }
        }
        _ => {
            all.insert(path.to_owned());
        }
    }
}

#[test]
fn every_field_is_documented_and_nothing_else_is() {
    let docs = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/lab.md")).unwrap();
    let (_, fields) = docs.split_once("## Fields of result.json").unwrap();
    let rows: BTreeSet<String> = fields
        .lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .map(|line| line.split('`').next().unwrap().to_owned())
        .collect();
    let mut all = BTreeSet::new();
    paths(&serde_json::to_value(sample::record()).unwrap(), "", &mut all);
    assert_eq!(rows.difference(&all).collect::<Vec<_>>(), Vec::<&String>::new(), "documented, but no field");
    assert_eq!(all.difference(&rows).collect::<Vec<_>>(), Vec::<&String>::new(), "not documented");
    assert!(fields.contains(&format!("version of this layout: {SCHEMA} ")));
}
