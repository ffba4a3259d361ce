//! Examples of whole bodies, put together from the examples of their fields.

use serde_json::{Map, Value, json};
use utoipa::openapi::{
    RefOr, Schema, Type,
    schema::{ArrayItems, SchemaType},
};

use super::Schemas;

/// An example of what the schema describes. Of a field that can be null the example is a value.
pub(super) fn of(schema: &RefOr<Schema>, schemas: &Schemas) -> Value {
    let schema = match schema {
        RefOr::Ref(reference) => {
            let name = reference.ref_location.rsplit('/').next().unwrap_or_default();
            return schemas.get(name).map_or(Value::Null, |schema| of(schema, schemas));
        }
        RefOr::T(schema) => schema,
    };
    match schema {
        Schema::Object(object) => {
            if let Some(example) = object.examples.first() {
                return example.clone();
            }
            if let Some(example) = object.enum_values.as_ref().and_then(|values| values.first()) {
                return example.clone();
            }
            let is_object = matches!(&object.schema_type, SchemaType::Type(Type::Object));
            if is_object {
                let fields = object.properties.iter();
                let fields = fields.map(|(name, schema)| (name.clone(), of(schema, schemas)));
                return Value::Object(fields.filter(|(_, value)| !value.is_null()).collect::<Map<_, _>>());
            }
            Value::Null
        }
        Schema::Array(array) => match (array.examples.first(), &array.items) {
            (Some(example), _) => example.clone(),
            (None, ArrayItems::RefOrSchema(item)) => json!([of(item, schemas)]),
            (None, ArrayItems::False) => json!([]),
        },
        Schema::OneOf(choice) => match choice.examples.first() {
            Some(example) => example.clone(),
            None => choice.items.first().map_or(Value::Null, |first| of(first, schemas)),
        },
        _ => Value::Null,
    }
}
