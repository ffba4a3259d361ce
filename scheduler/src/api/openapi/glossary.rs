//! What each field means, with an example, by name. One name may mean different things in different places:
//! then the entry names the component that it stands in.

use serde_json::Value;
use utoipa::openapi::{RefOr, Schema};

use super::Schemas;

/// Component (empty: any), field, description, example as JSON (empty: put together from those of its parts).
type Row = (&'static str, &'static str, &'static str, &'static str);

/// An entry as the document needs it.
pub(super) struct Entry {
    pub(super) description: &'static str,
    pub(super) example: Option<Value>,
}

/// The entry of a field in a component; `None` when the glossary lacks it.
pub(super) fn entry(thing: &str, field: &str) -> Option<Entry> {
    let rows = || ROWS.iter().filter(|(_, name, ..)| *name == field);
    let (.., description, example) =
        rows().find(|(of, ..)| *of == thing).or_else(|| rows().find(|(of, ..)| of.is_empty()))?;
    Some(Entry { description, example: serde_json::from_str(example).ok() })
}

/// The schema of a field with its description and example.
pub(super) fn explained(schema: RefOr<Schema>, thing: &str, field: &str) -> RefOr<Schema> {
    let Some(Entry { description, example }) = entry(thing, field) else { return schema };
    match schema {
        RefOr::Ref(mut reference) => {
            description.clone_into(&mut reference.description);
            reference.into()
        }
        RefOr::T(mut schema) => {
            let text = Some(description.to_owned());
            let example = example.into_iter().collect();
            match &mut schema {
                Schema::Object(object) => (object.description, object.examples) = (text, example),
                Schema::Array(array) => (array.description, array.examples) = (text, example),
                Schema::OneOf(choice) => (choice.description, choice.examples) = (text, example),
                Schema::AllOf(all) => (all.description, all.examples) = (text, example),
                Schema::AnyOf(any) => (any.description, any.examples) = (text, example),
                _ => {}
            }
            RefOr::T(schema)
        }
    }
}

/// Explains every field of every component.
pub(super) fn explain_all(schemas: &mut Schemas) {
    for (name, schema) in schemas.iter_mut() {
        if let RefOr::T(Schema::Object(object)) = schema {
            for (field, property) in &mut object.properties {
                *property = explained(std::mem::take(property), name, field);
            }
        }
    }
}

const TIME: &str = "\"2024-05-01T22:00:00.00Z\"";
const COMMAND: &str = r#"{"name": "doveadm", "flags": ["-v"], "options": [{"name": "-o", "value": "imapc_user=%{mdb:ruid}"}],
    "subCommand": {"name": "backup", "flags": ["-R"], "options": [{"name": "-u", "value": "%{mdb:uid}"}], "arguments": ["imapc:"]}}"#;

const ROWS: &[Row] = &[
    // Paths
    ("Path", "source", "Name of the Source.", "\"CustomerX\""),
    ("Path", "host", "Name of the source host.", "\"imap.example.com\""),
    ("Path", "target", "Name of the target.", "\"default\""),
    ("Path", "name", "Name of the worker.", "\"worker-1\""),
    (
        "Path",
        "sourceUid",
        "The user, percent-encoded where it has to be; it is never trimmed.",
        "\"alice@example.com\"",
    ),
    ("Path", "id", "Number of the migration, as its submit gave it.", "17"),
    (
        "Path",
        "logger",
        "Name of the logger: dmf, dmf.scheduler.api, or a path of modules; ROOT is above all.",
        "\"dmf\"",
    ),
    ("Path", "metric", "Name of the metric.", "\"http.server.requests\""),
    ("Path", "status", "How it is closed; FAILED is FAILURE.", "\"ABORTED\""),
    // Lists
    ("", "limit", "Rows of a page; 100 unless it says otherwise.", "100"),
    ("", "cursor", "Where the page before ended: its nextCursor.", "\"4711\""),
    ("", "nextCursor", "What asks for the next page; it is there when there may be one.", "\"4711\""),
    // Sources
    ("Source", "name", "Name of the Source; compared without case.", "\"CustomerX\""),
    ("CreatedSource", "name", "Name of the Source.", "\"CustomerX\""),
    ("ChangedSource", "name", "Name of the Source.", "\"CustomerX\""),
    ("ChangedSource", "paused", "Nothing new of this Source starts.", "false"),
    ("ChangedSource", "users", "How many users it has.", "1200"),
    (
        "",
        "apiKey",
        "The customer's key. It is stored hashed and shown only in the answer to the request that sets it.",
        "\"b270b24a-711d-47ee-8bdc-f59ad5c1abf2\"",
    ),
    (
        "",
        "rateLimit",
        "Requests a second of this key; 0 is no limit, and without it the configuration counts.",
        "50",
    ),
    ("Source", "paused", "Nothing new of this Source starts.", "false"),
    ("Source", "users", "How many users it has.", "1200"),
    ("", "openMigrations", "How many of its migrations wait or run.", "35"),
    ("", "deleting", "Its deletion was begun and is not finished.", "false"),
    ("Source", "force", "Cancel what is open, too.", "true"),
    // Source hosts
    ("Sourcehost", "name", "Host name or address of the mail server.", "\"imap.example.com\""),
    ("Sourcehost", "port", "Its port, where the commands ask for one.", "993"),
    ("", "maxConnections", "Most migrations from this host at a time, over all workers.", "20"),
    (
        "",
        "reservedForPriority",
        "How many of these places only migrations with priority may take; less than maxConnections.",
        "2",
    ),
    ("", "migrationCommand1", "What moves a mailbox.", COMMAND),
    ("", "migrationCommand2", "What runs after it.", COMMAND),
    ("", "statusCommand", "What counts mails on the source.", COMMAND),
    ("Sourcehost", "paused", "Nothing new from this host starts.", "false"),
    (
        "",
        "suspended",
        "Why and until when nothing starts from this host, while that lasts.",
        "{\"reason\": \"unreachable\", \"until\": \"2024-05-01T22:00:00.00Z\"}",
    ),
    ("", "reason", "Why.", "\"unreachable\""),
    ("Suspension", "until", "Until when.", TIME),
    ("", "connectionsInUse", "Places that are taken now.", "7"),
    ("", "queued", "Migrations that wait.", "112"),
    (
        "",
        "warnings",
        "What is allowed but doubtful.",
        "[\"name: CustomerY has a source host of this name, too; their limits are counted apart\"]",
    ),
    // Commands
    (
        "Command",
        "name",
        "The program, or, in a sub command, its word. A bare name that is no doveadm stands for the command of the worker's configuration.",
        "\"doveadm\"",
    ),
    ("", "successCode", "The exit code that means success; 0 unless it says otherwise.", "0"),
    ("", "flags", "Options without a value.", "[\"-v\"]"),
    ("", "options", "Options with a value.", "[{\"name\": \"-o\", \"value\": \"imapc_user=%{mdb:ruid}\"}]"),
    ("", "arguments", "What stands after the options; doveadm's belong to its sub command.", "[]"),
    (
        "",
        "subCommand",
        "What follows the arguments.",
        "{\"name\": \"backup\", \"flags\": [\"-R\"], \"options\": [{\"name\": \"-u\", \"value\": \"%{mdb:uid}\"}], \"arguments\": [\"imapc:\"]}",
    ),
    ("CommandOption", "name", "Usually with its hyphen.", "\"-o\""),
    ("", "value", "Whatever it is; properties are put in before the run.", "\"imapc_user=%{mdb:ruid}\""),
    // Targets and workers
    ("Target", "name", "Name of the target.", "\"default\""),
    ("Backend", "name", "Name of the worker, unique within its target.", "\"worker-1\""),
    ("", "target", "Name of the target.", "\"default\""),
    ("", "state", "What the worker last said of itself.", "\"RUNNING\""),
    ("", "wantedState", "What is wanted of it.", "\"RUNNING\""),
    (
        "",
        "initialState",
        "What it does when it starts; without it its own configuration counts.",
        "\"RUNNING\"",
    ),
    ("", "threadsInUse", "Migrations that it runs now.", "3"),
    ("", "maxThreads", "Most migrations that it runs at a time.", "8"),
    ("", "version", "Version of the worker.", "\"1.2.0\""),
    ("", "machine", "The machine that it runs on.", "\"mail-backend-1\""),
    ("", "incarnation", "The process, anew at each start.", "\"0190a1b2-c3d4-4e5f-8a9b-0c1d2e3f4a5b\""),
    ("", "lastHeartbeat", "When it was last heard of.", TIME),
    ("", "alive", "Whether it is thought to live.", "true"),
    // Audit
    ("", "entries", "The entries of the page.", ""),
    ("AuditEntry", "id", "Number of the entry.", "4711"),
    ("", "time", "When.", TIME),
    ("", "actor", "Who: admin:NAME or source:NAME.", "\"source:CustomerX\""),
    ("AuditEntry", "from", "From where.", "\"192.0.2.7\""),
    ("", "from", "Not before this time.", TIME),
    ("", "until", "Before this time.", TIME),
    ("", "requestId", "The X-Request-Id of the request.", "\"6f1e0f3c-54b3-4d7f-8f0b-7c1f1c1b7a55\""),
    ("", "method", "Method of the request.", "\"POST\""),
    ("", "path", "Its path and query.", "\"/dmf/api/v2/users\""),
    (
        "",
        "fields",
        "The fields that were given; those that may hold a secret as such only.",
        "{\"sourceUid\": \"alice@example.com\", \"password\": \"(given)\"}",
    ),
    ("AuditEntry", "status", "HTTP status of the answer; none when nobody saw the end.", "201"),
    // Users
    ("UserPage", "users", "The users of the page.", ""),
    ("", "sourceUid", "The user on the Source, byte for byte.", "\"alice@example.com\""),
    (
        "",
        "targetUid",
        "The user on the target; taken once on a target, also when it differs by case only.",
        "\"alice\"",
    ),
    ("", "sourcehost", "Name of the source host that holds the mailbox.", "\"imap.example.com\""),
    ("", "sourceport", "Port on the source host, where it differs from the host's own.", "993"),
    ("", "email", "Mail address, for commands.", "\"alice@example.com\""),
    (
        "",
        "password",
        "Password on the Source; it is stored encrypted and never shown.",
        "\"correct horse battery staple\"",
    ),
    ("", "container", "Container of the user, for commands.", "\"context-5\""),
    (
        "",
        "imapcOptions",
        "Settings of doveadm for this user, each key=value; workers allow some only.",
        "[\"imapc_features=rfc822.size fetch-headers\"]",
    ),
    ("", "useImapcSsl", "How the source is connected to.", "\"imaps\""),
    ("", "excludeFolders", "Folders that are not moved.", "[\"Trash\"]"),
    ("User", "force", "Move a user that was synced before to another place.", "false"),
    ("", "created", "When it came.", TIME),
    ("", "modified", "When it changed last.", TIME),
    // Migrations
    ("MigrationPage", "migrations", "The records of the page.", ""),
    (
        "",
        "phase",
        "PRE_SYNC as often as wanted while the user works on the source, CUTOVER for the last delta.",
        "\"PRE_SYNC\"",
    ),
    ("", "priority", "Goes before others.", "false"),
    ("", "notBefore", "It does not start before this time.", TIME),
    (
        "Migration",
        "force",
        "Migrate again although a CUTOVER of this user succeeded, or to another place than before.",
        "false",
    ),
    ("", "dryRun", "Check only, change nothing.", "true"),
    ("Migration", "status", "Where it stands; as a filter: one or more, separated by commas.", "\"SUCCESS\""),
    ("", "backend", "The worker that runs or ran it, as target/worker.", "\"default/worker-1\""),
    ("", "createdFrom", "Submitted at this time or later.", TIME),
    ("", "createdUntil", "Submitted before this time.", TIME),
    ("", "stoppedFrom", "Ended at this time or later.", TIME),
    ("", "stoppedUntil", "Ended before this time.", TIME),
    ("Migration", "id", "Number of the migration within its Source.", "17"),
    ("", "started", "When a worker began.", TIME),
    ("", "stopped", "When it ended.", TIME),
    ("", "attempt", "How often the sync command ran.", "1"),
    (
        "Migration",
        "details",
        "What was run, in order: objects of one key each.",
        "[{\"sync\": {\"exitCode\": 0}}]",
    ),
    ("", "targetMessageCount", "Mails on the target after the sync.", "5120"),
    ("", "targetMailboxSize", "Bytes on the target after the sync.", "734003200"),
    ("", "sourceMessageCount", "Mails on the source.", "5120"),
    ("", "sourceMailboxSize", "Bytes on the source.", "734003200"),
    ("", "expungedMessageCount", "Mails that the sync removed from the target.", "0"),
    ("", "syncMessageCount", "Mails that the sync saved.", "5120"),
    ("", "syncSpeed", "Milliseconds that the sync command took, pauses between attempts included.", "83000"),
    ("", "verification", "How source and target compare.", "{\"equal\": true}"),
    (
        "Migration",
        "progress",
        "How far it has come, while it runs.",
        "{\"step\": \"sync\", \"mailbox\": \"INBOX\", \"saved\": 1200, \"expunged\": 0}",
    ),
    ("Progress", "step", "The step that runs, as details names it.", "\"sync\""),
    ("Progress", "mailbox", "The mailbox of the last mail, once there was one.", "\"INBOX\""),
    ("Progress", "saved", "Mails that this run has saved so far.", "1200"),
    ("Progress", "expunged", "Mails that this run has removed so far.", "0"),
    // Bulk
    ("", "line", "Number of the line, from 1.", "1"),
    (
        "LineResult",
        "status",
        "What became of it. EXISTS: a migration of the user is open. VALID: it would be created. FAILED: not known, send it again.",
        "\"CREATED\"",
    ),
    ("LineResult", "id", "Number of the migration.", "17"),
    ("LineResult", "errors", "All that is wrong with the line.", "[\"phase: is required\"]"),
    // Summary
    ("Summary", "migrations", "All migrations.", "1200"),
    ("", "open", "Those that wait or run.", "35"),
    (
        "Summary",
        "status",
        "Counts by status.",
        "{\"SCHEDULED\": 30, \"SYNC\": 5, \"SUCCESS\": 1160, \"FAILURE\": 4, \"ABORTED\": 1}",
    ),
    ("Summary", "phase", "Counts by phase and status.", ""),
    ("", "sourcehosts", "Counts by source host and status.", ""),
    ("", "movedMessageCount", "Mails that were moved.", "6144000"),
    ("", "movedSize", "Bytes that were moved.", "880803840000"),
    ("", "rate", "What ended lately, for an hour.", ""),
    ("", "eta", "When the open ones will be done if it goes on like that.", TIME),
    ("", "SCHEDULED", "Waiting.", "30"),
    ("", "SYNC", "Running.", "5"),
    ("", "SUCCESS", "Done.", "1160"),
    ("", "FAILURE", "Given up.", "4"),
    ("", "ABORTED", "Ended by an operator.", "1"),
    ("", "PRE_SYNC", "Counts of pre-syncs.", ""),
    ("", "CUTOVER", "Counts of cutovers.", ""),
    ("HostSummary", "name", "Name of the source host.", "\"imap.example.com\""),
    ("HostSummary", "status", "Counts by status.", ""),
    ("", "migrationsPerHour", "Migrations.", "480"),
    ("", "messagesPerHour", "Mails.", "2457600"),
    ("", "bytesPerHour", "Bytes.", "352321536000"),
    // Management
    ("Health", "status", "UP or DOWN.", "\"UP\""),
    ("Health", "name", "Name of the application.", "\"api\""),
    (
        "Health",
        "details",
        "The parts; for the admin only.",
        "{\"jdbc\": {\"name\": \"api\", \"status\": \"UP\"}}",
    ),
    (
        "",
        "build",
        "The program.",
        "{\"name\": \"dmf-scheduler\", \"version\": \"1.2.0\", \"revision\": null}",
    ),
    ("Build", "name", "Its name.", "\"dmf-scheduler\""),
    ("Build", "version", "Its version.", "\"1.2.0\""),
    ("", "revision", "The revision of its source, where the build knew that.", "\"4a1f0c2\""),
    (
        "",
        "levels",
        "The words for a level.",
        "[\"ALL\", \"TRACE\", \"DEBUG\", \"INFO\", \"WARN\", \"ERROR\", \"OFF\", \"NOT_SPECIFIED\"]",
    ),
    (
        "",
        "loggers",
        "Those that have a level of their own, by name.",
        "{\"ROOT\": {\"configuredLevel\": \"INFO\", \"effectiveLevel\": \"INFO\"}}",
    ),
    ("", "configuredLevel", "Its own level; NOT_SPECIFIED is none.", "\"DEBUG\""),
    ("", "effectiveLevel", "The level that counts.", "\"DEBUG\""),
    ("", "names", "The names of all metrics.", "[\"http.server.requests\", \"process.uptime\"]"),
    ("Metric", "name", "Its name.", "\"process.uptime\""),
    ("", "measurements", "What was measured.", ""),
    ("", "availableTags", "What would tell its series apart.", ""),
    ("", "description", "What it counts.", "\"How long the process runs\""),
    ("", "baseUnit", "In which unit, where it has one.", "\"seconds\""),
    ("", "statistic", "What the value is.", "\"VALUE\""),
    ("Measurement", "value", "The value.", "83.5"),
    ("Health", "tag", "Only series with this tag, as name:value; may be repeated.", "[\"method:GET\"]"),
    ("", "tag", "Name of the tag.", "\"method\""),
    ("", "values", "The values that it has.", "[\"GET\", \"POST\"]"),
    // Errors
    ("Error", "message", "The reason phrase of the status.", "\"Bad Request\""),
    (
        "",
        "_links",
        "Where it happened.",
        "{\"self\": {\"href\": \"/dmf/api/v2/users\", \"templated\": false}}",
    ),
    ("", "_embedded", "What is wrong, all at once.", "{\"errors\": [{\"message\": \"name: is required\"}]}"),
    ("", "self", "The request.", "{\"href\": \"/dmf/api/v2/users\", \"templated\": false}"),
    ("", "href", "Its path.", "\"/dmf/api/v2/users\""),
    ("", "templated", "Never.", "false"),
    ("ErrorDetails", "errors", "At least one.", "[{\"message\": \"name: is required\"}]"),
    ("ErrorDetail", "message", "The field, and what is wrong with it.", "\"name: is required\""),
];
