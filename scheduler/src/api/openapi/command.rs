//! The schema of a command, which is read by the domain and not field by field.

use dmf_shared::domain::command::{MAX_ITEMS, MAX_TEXT_BYTES};
use utoipa::openapi::{
    ArrayBuilder, ObjectBuilder, Ref, RefOr, Schema, Type,
    schema::{AdditionalProperties, OneOfBuilder, SchemaType},
};

use super::Schemas;

/// Adds `Command` and `CommandOption`.
pub(super) fn add(schemas: &mut Schemas) {
    schemas.insert("Command".to_owned(), command());
    schemas.insert("CommandOption".to_owned(), option());
}

fn closed() -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .additional_properties(Some(AdditionalProperties::FreeForm(false)))
}

fn command() -> RefOr<Schema> {
    let code = ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::Integer, Type::String, Type::Null]))
        .minimum(Some(i64::from(i32::MIN)))
        .maximum(Some(i64::from(i32::MAX)))
        .pattern(Some("^[+-]?[0-9]{1,9}$"));
    closed()
        .property("name", text(1))
        .required("name")
        .property("successCode", code)
        .property("flags", one_or_more(text(0).into()))
        .property("options", one_or_more(Ref::from_schema_name("CommandOption").into()))
        .property("arguments", one_or_more(text(0).into()))
        .property(
            "subCommand",
            OneOfBuilder::new()
                .item(Ref::from_schema_name("Command"))
                .item(ObjectBuilder::new().schema_type(Type::Null)),
        )
        .into()
}

fn option() -> RefOr<Schema> {
    closed().property("name", text(1)).required("name").property("value", text(0)).required("value").into()
}

/// A text; a number is taken as its text.
fn text(min: usize) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::String, Type::Number]))
        .min_length(Some(min))
        .max_length(Some(MAX_TEXT_BYTES))
        .pattern(Some("^[^\\u0000]*$"))
}

/// A list, or one item as it is.
fn one_or_more(item: RefOr<Schema>) -> RefOr<Schema> {
    OneOfBuilder::new()
        .item(ArrayBuilder::new().items(item.clone()).max_items(Some(MAX_ITEMS)))
        .item(item)
        .item(ObjectBuilder::new().schema_type(Type::Null))
        .into()
}
