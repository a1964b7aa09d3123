"""The database: reachable, migrated, and of the same opinion about the time."""

import time

import asyncpg

from penstock.doctor.addresses import shown
from penstock.doctor.finding import Finding, Level, Patient
from penstock.platform.credentials import SERVICES
from penstock_common.db.heads import SCHEMES, code_head, current_heads

DATABASE, SCHEMA, CLOCK = "database", "schema", "clock"
CONNECT_SECONDS = 5.0
REFUSALS = (asyncpg.InvalidPasswordError, asyncpg.InvalidAuthorizationSpecificationError)
LITTLE_SKEW, MUCH_SKEW = 1.0, 5.0  # seconds; leases and deadlines are counted in few of them


async def check_database(patient: Patient) -> list[Finding]:
    """All that hangs on the database."""
    url = patient.database
    if not url:
        return [Finding(DATABASE, Level.SKIPPED, f"{patient.why_not} To check a database of your own: --database URL")]
    where = shown(url)
    if not url.startswith(SCHEMES):
        mend = "a database URL begins with postgresql://"
        return [Finding(DATABASE, Level.FAIL, "this is no address of a database", where, mend)]
    try:
        connection = await asyncpg.connect(url, timeout=CONNECT_SECONDS)
    except REFUSALS:
        mend = "correct user and password in --database, or on the server"
        return [Finding(DATABASE, Level.FAIL, "the database refuses this user or password", where, mend)]
    except (OSError, TimeoutError, ValueError, asyncpg.PostgresError) as error:
        return [Finding(DATABASE, Level.FAIL, _away(error), where, _mend(error))]
    try:
        skew = await _skew(connection)
    finally:
        await connection.close()
    return [Finding(DATABASE), await _schema(patient, where), _clock(skew, where)]


def _away(error: Exception) -> str:
    return f"the database can't be reached: {str(error) or type(error).__name__}"


def _mend(error: Exception) -> str:
    if isinstance(error, asyncpg.InvalidCatalogNameError):
        return "create that database, or correct the end of --database"
    return "start it, or correct its address; of an embedded database see: penstock logs postgres"


async def _skew(connection: asyncpg.Connection) -> float:
    """Seconds by which the server's clock is ahead of ours, to half the time of one question."""
    asked = time.time()
    theirs = (await connection.fetchval("select clock_timestamp()")).timestamp()
    skew: float = theirs - (asked + time.time()) / 2
    return skew


def _clock(skew: float, where: str) -> Finding:
    if abs(skew) < LITTLE_SKEW:
        return Finding(CLOCK)
    level = Level.FAIL if abs(skew) >= MUCH_SKEW else Level.WARN
    problem = f"the database's clock is {abs(skew):.1f} s {'ahead of' if skew > 0 else 'behind'} this machine's"
    return Finding(CLOCK, level, problem, where, "let both machines take their time from NTP (see: timedatectl)")


async def _schema(patient: Patient, where: str) -> Finding:
    heads = await current_heads(patient.database, SERVICES)
    if not heads and patient.state is None:
        return Finding(SCHEMA, Level.SKIPPED, "nothing is in it yet; penstock up makes the schemas", where)
    behind = [f"{s} is at {heads.get(s, 'nothing')} of {code_head(s)}" for s in SERVICES if _lag(heads, s) < 0]
    ahead = [f"{s} is at {heads[s]}, this code at {code_head(s)}" for s in SERVICES if _lag(heads, s) > 0]
    if behind:
        return Finding(SCHEMA, Level.FAIL, f"schemas are behind: {', '.join(behind)}", where, "run: penstock migrate")
    if ahead:
        problem = f"schemas are ahead of this code: {', '.join(ahead)}"
        return Finding(SCHEMA, Level.WARN, problem, where, "run the newer version of penstock")
    return Finding(SCHEMA)


def _lag(heads: dict[str, str], service: str) -> int:
    """Below zero where the database is behind."""
    there, here = heads.get(service, ""), code_head(service)
    return (there > here) - (there < here)
