//! What answers have in common: which fields are left out, and schemas of values that are no plain types.

use utoipa::openapi::{ArrayBuilder, Object, ObjectBuilder, Ref, RefOr, Schema, Type, schema::OneOfBuilder};

use super::{kind, v1};

/// A field without a value is left out; v1 prints null.
#[allow(clippy::ref_option, reason = "the signature that serde asks for")]
pub fn is_left_out<T>(value: &Option<T>) -> bool {
    value.is_none() && !v1::prints_nulls()
}

/// An object with whatever fields.
pub fn free_object() -> Object {
    ObjectBuilder::new().schema_type(kind::types(Type::Object, true)).build()
}

/// An array of objects with whatever fields.
pub fn free_objects() -> RefOr<Schema> {
    let item = ObjectBuilder::new().schema_type(Type::Object);
    ArrayBuilder::new().schema_type(kind::types(Type::Array, true)).items(item).into()
}

/// A program call.
pub fn command() -> RefOr<Schema> {
    Ref::from_schema_name("Command").into()
}

/// A program call, or none.
pub fn command_or_null() -> RefOr<Schema> {
    OneOfBuilder::new()
        .item(Ref::from_schema_name("Command"))
        .item(ObjectBuilder::new().schema_type(Type::Null))
        .into()
}

/// Name of a status of a migration.
pub fn status() -> RefOr<Schema> {
    kind::one_of(kind::STATUSES, false)
}

/// Name of a phase.
pub fn phase() -> RefOr<Schema> {
    kind::one_of(kind::PHASES, false)
}
