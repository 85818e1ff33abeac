//! JSON Schema (2020-12) for the documents, from the same tables that the reader uses, for editors that
//! complete and check while one types. `check` knows more: names, references, conditions.

use crate::document::{
    BUNDLE_FIELDS, ENVIRONMENT_FIELDS, MODEL_FIELDS, PARAMETER_FIELDS, SELECTOR_FIELDS,
};
use crate::schema::{Field, Takes};
use crate::section::{COMMON, Holds, Section};
use crate::{application, policy};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// What the kind of a section says of its promises.
#[derive(Clone, Copy, Debug)]
pub struct Promises<'a> {
    pub section: &'a Section,
    pub fields: &'a [Field],
    /// What may stand instead of a map of fields.
    pub short_forms: &'a [Takes],
}

/// One schema for each kind of document.
pub fn documents(sections: &[Promises<'_>]) -> BTreeMap<&'static str, serde_json::Value> {
    let parameters = map_of(json!({ "anyOf": [fields(PARAMETER_FIELDS), not_a_map()] }));
    let node = fields(SELECTOR_FIELDS);
    let bundle = |kind: &'static str, other: &str| {
        let mut properties = properties(BUNDLE_FIELDS);
        properties.shift_remove(other);
        put(&mut properties, "parameters", parameters.clone());
        put(&mut properties, "include", includes());
        for it in sections {
            properties.insert(it.section.name.to_owned(), section(it));
        }
        document(kind, properties, &[kind])
    };
    let mut model = properties(MODEL_FIELDS);
    put(&mut model, "policy", fields(policy::FIELDS));
    put(&mut model, "format", json!({ "const": 1 }));
    let mut environment = properties(ENVIRONMENT_FIELDS);
    put(&mut environment, "policy", fields(policy::FIELDS));
    put(&mut environment, "nodes", map_of(node));
    put(&mut environment, "applications", map_of(fields(application::TARGET_FIELDS)));
    put(&mut environment, "flags", map_of(form(&Takes::MapOf(&application::FLAG_SETTING))));
    let mut target = properties(application::TARGET_OWN_FIELDS);
    target.extend(properties(application::TARGET_FIELDS));
    BTreeMap::from([
        ("application", application_schema(sections, &parameters)),
        ("release", release_schema(sections)),
        ("target", document("target", target, &["target", "release"])),
        ("model", document("model", model, &["model", "format"])),
        ("environment", document("environment", environment, &["environment"])),
        ("server", bundle("server", "bundle")),
        ("bundle", bundle("bundle", "server")),
    ])
}

fn application_schema(sections: &[Promises<'_>], parameters: &Value) -> Value {
    let mut component = properties(application::COMPONENT_FIELDS);
    component.extend(properties(application::SETTINGS_FIELDS));
    put(&mut component, "include", includes());
    component.extend(sections.iter().map(|it| (it.section.name.to_owned(), section(it))));
    // Files that lead the traffic are promises like those of the section.
    let front = component.get_mut("front");
    let of_front = front.and_then(|it| it.pointer_mut("/anyOf/0/properties/files"));
    let files = sections.iter().find(|it| it.section.kind == "file");
    if let (Some(place), Some(files)) = (of_front, files) {
        *place = section(files);
    }
    let mut all = properties(application::APPLICATION_FIELDS);
    put(&mut all, "parameters", parameters.clone());
    put(&mut all, "components", map_of(closed(component)));
    document("application", all, &["application", "owner"])
}

fn release_schema(sections: &[Promises<'_>]) -> Value {
    let mut component = properties(application::RELEASE_COMPONENT_FIELDS);
    component.extend(sections.iter().map(|it| (it.section.name.to_owned(), section(it))));
    let forms = vec![closed(component), json!({ "const": "absent" })];
    let mut all = properties(application::RELEASE_FIELDS);
    put(&mut all, "components", map_of(json!({ "anyOf": forms })));
    document("release", all, &["release"])
}

fn closed(properties: Map<String, Value>) -> Value {
    json!({ "type": "object", "properties": properties, "additionalProperties": false })
}

/// One schema for all kinds of documents, told apart by the key that each must have.
pub fn combined(documents: &BTreeMap<&'static str, Value>) -> Value {
    let expression = json!({ "type": "string", "pattern": "\\{\\{" });
    let all: Vec<Value> = documents
        .values()
        .map(|it| {
            let mut it = it.clone();
            if let Some(fields) = it.as_object_mut() {
                fields.remove("$schema");
                fields.remove("$defs");
            }
            it
        })
        .collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "steadfast: a document of a model",
        "anyOf": all,
        "$defs": { "expression": expression },
    })
}

fn document(title: &str, properties: Map<String, Value>, required: &[&str]) -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": format!("steadfast: {title}"),
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
        "$defs": { "expression": { "type": "string", "pattern": "\\{\\{" } },
    })
}

/// A section: names to promises. A promise is a map of the kind's fields and the common ones, or one of
/// the kind's short forms. Where a node has one thing of a kind, its name may stand for all.
fn section(of: &Promises<'_>) -> Value {
    let mut all = properties(of.fields);
    all.extend(properties(COMMON));
    let whole = json!({ "type": "object", "properties": all, "additionalProperties": false });
    let mut forms = vec![whole];
    forms.extend(of.short_forms.iter().map(form));
    let promises = map_of(any(forms));
    match of.section.holds {
        Holds::Many => promises,
        Holds::One => any(vec![promises, form(&Takes::Text)]),
    }
}

fn includes() -> Value {
    let one = json!({
        "type": "object",
        "properties": {
            "for_each": {
                "description": "A list or a map: once for every `item`",
                "anyOf": [{ "type": "array" }, { "type": "object" }, expression()],
            },
            "when": { "description": "An expression: only where it holds", "type": ["string", "boolean"] },
        },
        "additionalProperties": { "type": ["object", "null"] },
        "maxProperties": 3,
    });
    json!({ "type": "array", "items": { "anyOf": [{ "type": "string" }, one] } })
}

/// Replaces what a property takes, and leaves its description.
fn put(properties: &mut Map<String, Value>, name: &str, takes: Value) {
    let about = properties.get(name).and_then(|it| it.get("description")).cloned();
    properties.insert(name.to_owned(), described(takes, about));
}

fn described(takes: Value, about: Option<Value>) -> Value {
    let mut all = Map::new();
    if let Some(about) = about {
        all.insert("description".to_owned(), about);
    }
    match takes {
        Value::Object(takes) => all.extend(takes),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {}
    }
    Value::Object(all)
}

fn properties(fields: &[Field]) -> Map<String, Value> {
    fields
        .iter()
        .map(|field| {
            let about = (!field.about.is_empty()).then(|| Value::from(field.about));
            (field.name.to_owned(), described(takes(&field.takes), about))
        })
        .collect()
}

fn fields(fields: &[Field]) -> Value {
    closed(properties(fields))
}

fn map_of(values: Value) -> Value {
    json!({ "type": "object", "additionalProperties": values })
}

fn expression() -> Value {
    json!({ "$ref": "#/$defs/expression" })
}

fn not_a_map() -> Value {
    json!({ "type": ["string", "number", "boolean", "array", "null"] })
}

/// Any of these forms, or an expression in text.
fn any(mut forms: Vec<Value>) -> Value {
    // Text holds expressions as it is.
    if forms
        .iter()
        .any(|it| it.get("type") == Some(&Value::from("string")) && it.get("pattern").is_none())
    {
        return match &mut forms[..] {
            [one] => std::mem::take(one),
            _ => json!({ "anyOf": forms }),
        };
    }
    forms.push(expression());
    json!({ "anyOf": forms })
}

/// The schema of a form, an expression included.
fn takes(takes: &Takes) -> Value {
    match takes {
        Takes::Anything => json!({}),
        Takes::OneOf(several) => any(several.iter().map(form).collect()),
        Takes::Text
        | Takes::Boolean
        | Takes::Integer
        | Takes::Words(_)
        | Takes::Duration
        | Takes::TextOrSecret
        | Takes::TextList
        | Takes::ListOfAny(_)
        | Takes::ListOf(_)
        | Takes::Fields(_)
        | Takes::MapOf(_) => any(vec![form(takes)]),
    }
}

/// The schema of a form alone.
fn form(takes: &Takes) -> Value {
    match takes {
        Takes::Text => json!({ "type": "string" }),
        Takes::Boolean => json!({ "type": "boolean" }),
        Takes::Integer => json!({ "type": "integer" }),
        Takes::Words(words) => json!({ "enum": words }),
        Takes::Duration => json!({ "type": "string", "pattern": "^([0-9]+[smhd])+$" }),
        Takes::TextOrSecret => json!({ "anyOf": [
            { "type": "string" },
            {
                "type": "object",
                "properties": { "secret": { "type": "string" } },
                "required": ["secret"],
                "additionalProperties": false,
            },
        ] }),
        Takes::TextList => json!({ "type": "array", "items": { "type": "string" } }),
        Takes::ListOfAny(inner) => json!({ "type": "array", "items": self::takes(inner) }),
        Takes::ListOf(inner) => json!({ "type": "array", "items": any(vec![fields(inner)]) }),
        Takes::Fields(inner) => fields(inner),
        Takes::MapOf(inner) => map_of(self::takes(inner)),
        Takes::OneOf(several) => json!({ "anyOf": several.iter().map(form).collect::<Vec<_>>() }),
        Takes::Anything => json!({}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    const FILE: &[Field] = &[
        Field::new("owner", Takes::Text, "Who owns it"),
        Field::new("force", Takes::Boolean, "Whatever is in the way goes"),
        Field::new("content", Takes::TextOrSecret, "What is in it"),
        Field::new("edits", Takes::ListOf(EDIT), "Changes to a text"),
        Field::new("variables", Takes::MapOf(&Takes::Anything), ""),
    ];
    const EDIT: &[Field] = &[Field::new("line", Takes::Text, "")];

    fn all() -> BTreeMap<&'static str, Value> {
        let state = Takes::Words(&["present", "absent"]);
        let of = |section, fields, short_forms| Promises { section, fields, short_forms };
        documents(&[
            of(&FILES, FILE, &[state]),
            of(&GROUPS, EDIT, &[state, Takes::Integer]),
            of(&ONLY, EDIT, &[]),
        ])
    }

    const FILES: Section = Section { name: "files", kind: "file", holds: Holds::Many };
    const GROUPS: Section = Section { name: "groups", kind: "group", holds: Holds::Many };
    const ONLY: Section = Section { name: "only", kind: "only", holds: Holds::One };

    #[test]
    fn the_name_of_the_only_thing_may_stand_for_all() {
        let only = &all()["server"]["properties"]["only"];
        assert_eq!(only["anyOf"][0]["type"], "object");
        assert_eq!(only["anyOf"][1], json!({ "type": "string" }));
    }

    #[test]
    fn a_section_has_the_fields_of_its_kind_and_the_common_ones() {
        let files = all()["server"]["properties"]["files"].to_string();
        expect![[r##"{"type":"object","additionalProperties":{"anyOf":[{"type":"object","properties":{"owner":{"description":"Who owns it","type":"string"},"force":{"description":"Whatever is in the way goes","anyOf":[{"type":"boolean"},{"$ref":"#/$defs/expression"}]},"content":{"description":"What is in it","anyOf":[{"anyOf":[{"type":"string"},{"type":"object","properties":{"secret":{"type":"string"}},"required":["secret"],"additionalProperties":false}]},{"$ref":"#/$defs/expression"}]},"edits":{"description":"Changes to a text","anyOf":[{"type":"array","items":{"anyOf":[{"type":"object","properties":{"line":{"type":"string"}},"additionalProperties":false},{"$ref":"#/$defs/expression"}]}},{"$ref":"#/$defs/expression"}]},"variables":{"anyOf":[{"type":"object","additionalProperties":{}},{"$ref":"#/$defs/expression"}]},"when":{"description":"An expression; the promise applies only where it is true","anyOf":[{"type":"string"},{"type":"boolean"}]},"after":{"description":"Ids of promises that must be kept before this one","anyOf":[{"type":"string"},{"type":"array","items":{"type":"string"}}]},"keep":{"description":"Repair differences (default) or only report them; `report` at an outer level always wins","anyOf":[{"enum":["repair","report"]},{"$ref":"#/$defs/expression"}]},"reloads":{"description":"Units to reload when this changes","anyOf":[{"type":"string"},{"type":"array","items":{"type":"string"}}]},"restarts":{"description":"Units to restart when this changes","anyOf":[{"type":"string"},{"type":"array","items":{"type":"string"}}]},"description":{"description":"A description","type":"string"}},"additionalProperties":false},{"enum":["present","absent"]},{"$ref":"#/$defs/expression"}]}}"##]].assert_eq(&files);
    }

    #[test]
    fn documents_have_their_own_keys_and_no_others() {
        let all = all();
        let shown: Vec<String> = all
            .iter()
            .map(|(kind, schema)| {
                assert_eq!(schema["additionalProperties"], false);
                let keys: Vec<&str> =
                    schema["properties"].as_object().unwrap().keys().map(|it| &**it).collect();
                format!("{kind}: {}", keys.join(" "))
            })
            .collect();
        expect![[r#"
            application: application description owner source tracker parameters components flags consumers keep
            bundle: bundle description parameters include keep files groups only
            environment: environment description parameters nodes applications flags external policy keep
            model: model format description parameters policy keep
            release: release description date follows built_from features flags components withdrawn
            server: server description parameters include keep files groups only
            target: target environment release since via parameters flags rollout"#]]
        .assert_eq(&shown.join("\n"));
    }

    #[test]
    fn every_map_with_fields_is_closed() {
        fn walk(value: &Value, path: &str) {
            if let Some(object) = value.as_object() {
                if object.contains_key("properties") {
                    assert!(object.contains_key("additionalProperties"), "{path}");
                }
                object.iter().for_each(|(key, it)| walk(it, &format!("{path}/{key}")));
            }
            value.as_array().into_iter().flatten().for_each(|it| walk(it, path));
        }
        all().iter().for_each(|(kind, schema)| walk(schema, kind));
    }
}
