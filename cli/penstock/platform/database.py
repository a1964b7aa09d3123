"""Roles and schemas: each service owns its own and can't see another's; audit reads them all."""

from collections.abc import Iterator, Mapping

from penstock.platform.credentials import SERVICES

# A frozen process must not hold rows, and nothing waits without end.
TIMEOUTS = {
    "idle_in_transaction_session_timeout": "3s",
    "lock_timeout": "5s",
    "statement_timeout": "30s",
}


def role_of(account: str) -> str:
    """The database role of a service, or of `audit`."""
    return f"penstock_{account}"


def role_statements(passwords: Mapping[str, str]) -> Iterator[str]:
    """Bring the cluster's roles to what they must be, from whatever they are. Runs as superuser."""
    for account in (*SERVICES, "audit"):
        role = role_of(account)
        yield f"do $$ begin create role {role} login; exception when duplicate_object then null; end $$"
        yield f"alter role {role} password '{passwords[account]}'"
        for name, value in TIMEOUTS.items():
            yield f"alter role {role} set {name} = '{value}'"
    yield f"alter role {role_of('audit')} set default_transaction_read_only = on"


def schema_statements(database: str) -> Iterator[str]:
    """Bring schemas and rights to what they must be. Runs as superuser, in that database."""
    yield f"revoke all on database {database} from public"
    yield "revoke all on schema public from public"
    yield f"grant connect on database {database} to {role_of('audit')}"
    for service in SERVICES:
        yield from _of_service(database, service)


def _of_service(database: str, service: str) -> Iterator[str]:
    owner, reader = role_of(service), role_of("audit")
    yield f"grant connect, temporary on database {database} to {owner}"
    yield f"create schema if not exists {service} authorization {owner}"
    yield f"grant usage on schema {service} to {reader}"
    yield f"grant select on all tables in schema {service} to {reader}"
    yield f"alter default privileges for role {owner} in schema {service} grant select on tables to {reader}"
