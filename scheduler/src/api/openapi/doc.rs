//! What a route says of itself. It stands beside the handler; the route table asks for it.

use std::borrow::Cow;

use utoipa::{
    PartialSchema, ToSchema,
    openapi::{RefOr, Schema},
};

use crate::api::fields::Fields;

/// The description of a route. What follows from the route table (credentials, path) or from the kind of
/// request (400, 413, 415, 503 …) is added to it.
#[derive(Debug, Clone, Copy)]
pub struct Doc {
    /// Name of the operation, for generated clients.
    pub id: &'static str,
    /// What it does, in a few words.
    pub summary: &'static str,
    /// What has to be known beyond that.
    pub description: &'static str,
    /// The chapter that it belongs to.
    pub tag: Tag,
    /// Reads the query.
    pub query: Option<Reader>,
    /// Reads the body.
    pub body: Option<Body>,
    /// What it answers when nothing is wrong.
    pub answers: &'static [Answer],
    /// Refusals of its own: the status, and when.
    pub refuses: &'static [(u16, &'static str)],
}

/// Reads all fields of a body or a query: the very function that the handler calls. Run over no fields at
/// all it leaves behind which there are.
pub type Reader = fn(&mut Fields);

/// What a route takes as its body.
#[derive(Debug, Clone, Copy)]
pub enum Body {
    /// A JSON object with these fields.
    Json(Reader),
    /// The same, which may also be left out as a whole.
    OptionalJson(Reader),
    /// A stream of lines with these fields, as NDJSON or CSV.
    Lines(Reader),
}

/// A chapter of the document, named by the thing that it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is what it is called")]
pub enum Tag {
    Source,
    Sourcehost,
    Target,
    Backend,
    Audit,
    User,
    Migration,
    Management,
}

impl Tag {
    /// All of them in the order of the document, each with what it is about.
    pub const ALL: [(Self, &'static str); 8] = [
        (Self::Source, "The platforms that users are moved from; each has an API key and users of its own."),
        (Self::Sourcehost, "The mail servers of a Source, with the commands that migrate from them."),
        (Self::Target, "The platforms that users are moved into."),
        (Self::Backend, "The workers on the backends of a target."),
        (Self::Audit, "Who changed what, when and from where."),
        (Self::User, "The mailboxes of a Source and their places on a target."),
        (Self::Migration, "Submitting migrations and following them."),
        (Self::Management, "The state of this scheduler, and this document."),
    ];

    /// Its name in the document.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Source => "Sources",
            Self::Sourcehost => "Source hosts",
            Self::Target => "Targets",
            Self::Backend => "Backends",
            Self::Audit => "Audit",
            Self::User => "Users",
            Self::Migration => "Migrations",
            Self::Management => "Management",
        }
    }

    /// The component whose fields its requests mean.
    pub const fn thing(self) -> &'static str {
        match self {
            Self::Source => "Source",
            Self::Sourcehost => "Sourcehost",
            Self::Target => "Target",
            Self::Backend => "Backend",
            Self::Audit => "AuditEntry",
            Self::User => "User",
            Self::Migration => "Migration",
            Self::Management => "Health",
        }
    }
}

/// One answer of a route.
#[derive(Debug, Clone, Copy)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// When it comes.
    pub description: &'static str,
    /// What it holds.
    pub content: Content,
    /// An example as JSON, where the one put together from the fields does not fit.
    pub example: Option<&'static str>,
}

/// The body of an answer.
#[derive(Debug, Clone, Copy)]
pub enum Content {
    /// None.
    Empty,
    /// A JSON object.
    Json(Shape),
    /// A JSON array.
    List(Shape),
    /// A JSON object, or CSV where the client asks for it.
    JsonOrCsv(Shape),
    /// A stream of JSON objects, one a line.
    Lines(Shape),
    /// A text of this media type.
    Text(&'static str),
}

/// The schema of a type, without the type.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Its name among the components.
    pub name: fn() -> Cow<'static, str>,
    /// The schema itself.
    pub schema: fn() -> RefOr<Schema>,
    /// The components that it refers to.
    pub parts: fn(&mut Vec<(String, RefOr<Schema>)>),
}

impl Shape {
    /// That of `T`.
    pub const fn of<T: ToSchema>() -> Self {
        Self { name: T::name, schema: <T as PartialSchema>::schema, parts: T::schemas }
    }
}

impl Answer {
    const fn new(status: u16, description: &'static str, content: Content) -> Self {
        Self { status, description, content, example: None }
    }

    /// No body.
    pub const fn empty(status: u16, description: &'static str) -> Self {
        Self::new(status, description, Content::Empty)
    }

    /// A `T` as JSON.
    pub const fn json<T: ToSchema>(status: u16, description: &'static str) -> Self {
        Self::new(status, description, Content::Json(Shape::of::<T>()))
    }

    /// An array of `T`.
    pub const fn list<T: ToSchema>(status: u16, description: &'static str) -> Self {
        Self::new(status, description, Content::List(Shape::of::<T>()))
    }

    /// The same with this example.
    #[must_use]
    pub const fn example(self, example: &'static str) -> Self {
        Self { example: Some(example), ..self }
    }

    /// A `T` as JSON, or CSV on demand.
    pub const fn json_or_csv<T: ToSchema>(status: u16, description: &'static str) -> Self {
        Self::new(status, description, Content::JsonOrCsv(Shape::of::<T>()))
    }

    /// A text of this media type.
    pub const fn text(status: u16, description: &'static str, media: &'static str) -> Self {
        Self::new(status, description, Content::Text(media))
    }

    /// A `T` a line.
    pub const fn lines<T: ToSchema>(status: u16, description: &'static str) -> Self {
        Self::new(status, description, Content::Lines(Shape::of::<T>()))
    }
}
