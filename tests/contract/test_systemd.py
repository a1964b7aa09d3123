"""The systemd units as systemd reads them, and the settings that `configure` writes for them."""

import re
import shutil
import subprocess
from importlib import import_module
from pathlib import Path

import pytest

from penstock.platform.credentials import SERVICES
from penstock_common.settings import ServiceSettings
from tests.support.systemd import HOME, UNITS, configure, variables

ROOT = Path(__file__).parents[2]
ANALYZE = "systemd-analyze"
EXPOSED = 30  # of 100; systemd calls up to 49 medium and a service without any confinement 96
HELP = "systemd-analyze is needed to check the units. Install it: apt-get install systemd"
BUS = "amqp://someone:secret@rabbit:5672/"
JOBS = ("penstock-prepare.service", "penstock-topology.service", "penstock-audit.service")
DATABASE = "postgresql://root:secret@postgres:5432/penstock?sslmode=require"


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """The units as if this checkout were the installed one."""
    assert shutil.which(ANALYZE), HELP
    for unit in UNITS.iterdir():
        if unit.suffix in (".service", ".target"):
            (tmp_path / unit.name).write_text(unit.read_text().replace(HOME, str(ROOT)))
    return tmp_path


def analyze(units: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run systemd-analyze on units of a folder; it needs no running systemd."""
    environment = {"PATH": "/usr/bin:/bin", "SYSTEMD_UNIT_PATH": f"{units}:"}
    return subprocess.run([ANALYZE, *arguments], env=environment, capture_output=True, text=True, check=False)


def test_systemd_accepts_every_unit(units: Path) -> None:
    """No unknown setting, no program that is not there, nothing that waits for itself."""
    names = [f"penstock@{service}.service" for service in SERVICES]
    checked = analyze(units, "verify", "--man=no", "penstock.target", *JOBS, *names)
    about_ours = [line for line in checked.stderr.splitlines() if "penstock" in line]
    assert about_ours == [], checked.stderr


def test_verify_would_notice(units: Path) -> None:
    """The check above sees a misspelt setting and a program that is missing."""
    unit = units / "penstock@.service"
    unit.write_text(unit.read_text().replace("Restart=always", "Restrat=always").replace("/bin/python", "/bin/pyhton"))
    said = analyze(units, "verify", "--man=no", "penstock@api.service").stderr
    assert "Restrat" in said
    assert "pyhton" in said


@pytest.mark.parametrize("unit", ["penstock@.service", *JOBS])
def test_unit_is_confined(units: Path, unit: str) -> None:
    """By systemd's own measure."""
    judged = analyze(units, "security", "--offline=yes", f"--threshold={EXPOSED}", str(units / unit))
    assert judged.returncode == 0, judged.stdout[-1500:]


def test_target_starts_every_service() -> None:
    """One start brings up what the platform consists of."""
    target = (UNITS / "penstock.target").read_text()
    assert set(re.findall(r"penstock@(\w+)\.service", target)) == set(SERVICES)


@pytest.mark.parametrize("service", SERVICES)
def test_configure_writes_complete_settings(service: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each service's settings can be read from its own file, which holds its own role's password and no other."""
    assert configure(tmp_path, "--bus", BUS, "--database", DATABASE).returncode == 0
    for name, value in variables(tmp_path / f"{service}.env").items():
        monkeypatch.setenv(name, value)
    settings: ServiceSettings = import_module(f"penstock_{service}.settings").Settings()
    assert settings.bus.url.get_secret_value() == BUS
    assert settings.archive.url == "/var/lib/penstock/archive"
    url = settings.database.url.get_secret_value()
    assert re.fullmatch(rf"postgresql://penstock_{service}:\w{{48}}@postgres:5432/penstock\?sslmode=require", url)
    assert (tmp_path / f"{service}.env").stat().st_mode & 0o777 == 0o600


def test_configure_keeps_passwords_and_keys(tmp_path: Path) -> None:
    """Another bus changes the address and nothing else."""
    configure(tmp_path, "--bus", BUS, "--database", DATABASE)
    first = variables(tmp_path / "operator.env")
    configure(tmp_path, "--bus", "nats://nats:4222", "--database", DATABASE)
    second = variables(tmp_path / "operator.env")
    assert {name for name in first if first[name] != second[name]} == {"PENSTOCK_BUS_URL"}


def test_configure_keeps_the_archive(tmp_path: Path) -> None:
    """Once named it is every service's and the operator's, and a later call that does not name it changes nothing."""
    configure(tmp_path, "--bus", BUS, "--database", DATABASE, "--archive", "s3://company-archive/penstock")
    configure(tmp_path, "--bus", BUS, "--database", DATABASE)
    named = {variables(tmp_path / f"{each}.env")[f"PENSTOCK_{each.upper()}_ARCHIVE__URL"] for each in SERVICES}
    assert named == {variables(tmp_path / "operator.env")["PENSTOCK_ARCHIVE"]} == {"s3://company-archive/penstock"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--bus", "kafka://x", "--database", DATABASE], "--bus is nats://…, tls://…, amqp://… or amqps://…"),
        (["--bus", BUS], "--database is postgresql://superuser:password@host:port/name"),
        (["--bus", BUS, "--database", "mysql://a:b@c/d"], "--database is postgresql://"),
        (["--bus", BUS, "--database", DATABASE, "--archive", "here"], "--archive is s3://bucket/folder, or"),
        (["--bus"], "--bus wants a value"),
        (["--buss", BUS], "unknown option --buss"),
    ],
)
def test_configure_says_what_is_wrong(arguments: list[str], said: str, tmp_path: Path) -> None:
    """And writes nothing."""
    refused = configure(tmp_path / "etc", *arguments)
    assert refused.returncode == 1
    assert said in refused.stderr
    assert not (tmp_path / "etc").exists()
