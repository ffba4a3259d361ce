"""What a schema can't say: which names exist, and what must stay."""

import json
import os

import schemathesis
from schemathesis.core.failures import AcceptedNegativeData
from schemathesis.core.parameters import ParameterLocation
from schemathesis.openapi.checks import EnsureResourceAvailability

# Whose API key the customer's calls have.
CUSTOMER = os.environ["DMF_SOURCE"]
# What the admin's calls change instead.
MEADOW = os.environ["DMF_MEADOW"]
TARGET = os.environ["DMF_TARGET"]
HOST = os.environ["DMF_SOURCEHOST"]
# What may go.
SPARE = os.environ["DMF_SPARE"]
# The words of the document's examples for doveadm.
OPTIONS = [{"name": "-o", "value": "imapc_user=%{mdb:ruid}"}]
SUB_COMMAND = {
    "name": "backup",
    "flags": ["-R"],
    "options": [{"name": "-u", "value": "%{mdb:uid}"}],
    "arguments": ["imapc:"],
}
# Longest text, in bytes; a schema counts characters.
TEXT_LIMIT = 255


@schemathesis.hook
def before_call(context, case, kwargs):
    keep_the_ground(case)
    if case.meta is None:
        return
    if is_valid(case, ParameterLocation.BODY) and isinstance(case.body, dict):
        case.body = {name: short(value) for name, value in case.body.items()}
        if case.method == "POST" and case.path.endswith("/users/migrations"):
            place_new_user(case.body)
        name_what_exists(case.body)
        reserve_less_than_all(case.body)
        leave_doveadm_alone(case.body)
    if is_valid(case, ParameterLocation.QUERY) and case.query:
        name_what_exists(case.query)


@schemathesis.hook
def filter_failure(context, failure, case, response):
    """Whether it is one."""
    # A stream of lines is a text like any other: what is wrong with a line, the answer's own line says.
    is_bulk = case.path.endswith("/users/migrations/bulk")
    if is_bulk and isinstance(failure, AcceptedNegativeData) and is_valid(case, ParameterLocation.QUERY):
        return False
    # A user that was created has no migration yet.
    has_none = isinstance(failure, EnsureResourceAvailability) and "/migrations/" in case.path
    return not (has_none and "Migration not found" in response.text)


@schemathesis.serializer("application/x-ndjson", "text/csv")
def lines(context, value):
    return (value if isinstance(value, str) else json.dumps(value)).encode()


def is_valid(case, location):
    """Whether this part of the request is meant to be valid; only such parts may be touched."""
    component = case.meta.components.get(location) if case.meta else None
    return component is None or component.mode.is_positive


def keep_the_ground(case):
    """Other requests need the customer's Source with its hosts and key, and the target."""
    path = case.path_parameters or {}
    if case.method == "GET":
        return
    if path.get("source") == CUSTOMER:
        path["source"] = MEADOW
    if case.method == "DELETE" and case.path.endswith("/sourcehosts/{host}") and path.get("host") == HOST:
        path["host"] = SPARE
    if case.method == "DELETE" and case.path.endswith("/sources/{source}") and path.get("source") == MEADOW:
        path["source"] = SPARE
    if case.method == "DELETE" and case.path.endswith("/targets/{target}") and path.get("target") == TARGET:
        path["target"] = SPARE


def name_what_exists(body):
    for field, name in [("target", TARGET), ("sourcehost", HOST)]:
        if isinstance(body.get(field), str):
            body[field] = name


def place_new_user(body):
    """A submit creates the user where it is new."""
    for field in ["targetUid", "target", "sourcehost"]:
        if body.get(field) is None:
            body[field] = "new"


def reserve_less_than_all(body):
    most, reserved = body.get("maxConnections"), body.get("reservedForPriority")
    # A whole number may be a float.
    if most is not None and reserved is not None and reserved >= most:
        body["reservedForPriority"] = most - 1


def leave_doveadm_alone(body):
    """What doveadm takes no schema says: with other than the document's own words it is another program."""
    for field in ["migrationCommand1", "migrationCommand2", "statusCommand"]:
        command = body.get(field)
        if isinstance(command, dict) and str(command.get("name")).endswith("doveadm") and not is_known(command):
            body[field] = {**command, "name": "move-mailbox"}


def is_known(command):
    sub = command.get("subCommand")
    return (
        command.get("flags") in (None, [], ["-v"])
        and command.get("arguments") in (None, [])
        and command.get("options") in (None, [], OPTIONS)
        and sub == SUB_COMMAND
    )


def short(value):
    """Texts of at most so many bytes."""
    if isinstance(value, str):
        return value.encode()[:TEXT_LIMIT].decode(errors="ignore")
    if isinstance(value, list):
        return [short(item) for item in value]
    return value
