//! What requests hold: parameters of path and query, and bodies.

use utoipa::openapi::{
    ContentBuilder, ObjectBuilder, RefOr, Required, Schema, Type,
    path::{Parameter, ParameterBuilder, ParameterIn},
    request_body::{RequestBody, RequestBodyBuilder},
    schema::AdditionalProperties,
};

use super::{Body, Reader, Schemas, Tag, example, glossary};
use crate::api::{
    fields::Fields,
    kind::{self, Kind, Property},
    routes::Route,
};

/// A path with the names of the document: `{source_uid}` is `{sourceUid}`.
pub(super) fn path(template: &str) -> String {
    template.replace("{source_uid}", "{sourceUid}")
}

/// The names that vary in a path.
fn varying(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
}

/// The fields that a reader asks for.
pub(super) fn properties(reader: Reader) -> Vec<Property> {
    let mut fields = Fields::new(serde_json::Map::new());
    reader(&mut fields);
    fields.into_properties()
}

pub(super) fn parameters(route: &Route) -> Vec<Parameter> {
    let thing = route.doc.tag.thing();
    let of_path = path(route.path);
    let in_path = varying(&of_path).map(|name| {
        let schema = match name {
            // Nothing else is a name of a status; of other things any text may turn out to name none.
            "status" => kind::one_of(kind::END_STATUSES, false),
            "id" => Kind::Number { min: 1, max: u32::MAX }.schema(false),
            "source" => Kind::SourceName.schema(false),
            _ => Kind::Segment.schema(false),
        };
        parameter(name, "Path", ParameterIn::Path, true, schema)
    });
    // The audit log has a field of that name, which is something else.
    let query_thing = if thing == "AuditEntry" { "Query" } else { thing };
    let query = route.doc.query.map(properties).unwrap_or_default();
    let in_query = query.into_iter().map(|property| {
        parameter(
            property.name,
            query_thing,
            ParameterIn::Query,
            property.required,
            property.kind.schema(false),
        )
    });
    in_path.chain(in_query).collect()
}

fn parameter(
    name: &str,
    thing: &str,
    place: ParameterIn,
    required: bool,
    schema: RefOr<Schema>,
) -> Parameter {
    let entry = glossary::entry(thing, name);
    ParameterBuilder::new()
        .name(name)
        .parameter_in(place)
        .required(if required { Required::True } else { Required::False })
        .description(entry.as_ref().map(|entry| entry.description))
        .example(entry.and_then(|entry| entry.example))
        .schema(Some(schema))
        .build()
}

/// The schema of what a reader takes.
fn object(reader: Reader, tag: Tag) -> RefOr<Schema> {
    let closed = AdditionalProperties::FreeForm(false);
    let object = ObjectBuilder::new().schema_type(Type::Object).additional_properties(Some(closed));
    let object = properties(reader).into_iter().fold(object, |object, property| {
        let mut schema =
            glossary::explained(property.kind.schema(property.nullable), tag.thing(), property.name);
        if let (true, RefOr::T(Schema::Object(object))) = (property.read_only, &mut schema) {
            object.read_only = Some(true);
        }
        let object = object.property(property.name, schema);
        if property.required { object.required(property.name) } else { object }
    });
    object.into()
}

pub(super) fn body(body: Body, tag: Tag, schemas: &Schemas) -> RequestBody {
    let required = if matches!(body, Body::OptionalJson(_)) { Required::False } else { Required::True };
    let request = RequestBodyBuilder::new().required(Some(required));
    match body {
        Body::Json(reader) | Body::OptionalJson(reader) => {
            let schema = object(reader, tag);
            let example = example::of(&schema, schemas);
            let content = ContentBuilder::new().schema(Some(schema)).example(Some(example));
            request.content("application/json", content.build()).build()
        }
        Body::Lines(reader) => {
            let schema = object(reader, tag);
            let line = example::of(&schema, schemas);
            let columns = line.as_object().into_iter().flatten().filter(|(_, value)| !value.is_array());
            let (names, cells): (Vec<_>, Vec<_>) = columns
                .map(|(name, value)| (name.clone(), value.as_str().map_or(value.to_string(), str::to_owned)))
                .unzip();
            let lines = ContentBuilder::new()
                .item_schema(Some(schema))
                .schema(Some(text("One JSON object a line")))
                .example(Some(format!("{line}\n").into()));
            let csv = ContentBuilder::new()
                .schema(Some(text("The first line names the fields")))
                .example(Some(format!("{}\n{}\n", names.join(","), cells.join(",")).into()));
            request.content("application/x-ndjson", lines.build()).content("text/csv", csv.build()).build()
        }
    }
}

/// A body that is no JSON.
pub(super) fn text(description: &str) -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(Type::String).description(Some(description)).into()
}
