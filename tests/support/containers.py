"""Servers in containers, for machines where a Docker daemon answers."""

import docker
from docker.errors import DockerException
from testcontainers.core.container import DockerContainer
from testcontainers.core.waiting_utils import wait_for_logs

IMAGE = "rabbitmq:4-management"
AMQP, MANAGEMENT = 5672, 15672
ACCOUNT = "guest"
READY = "Server startup complete"
READY_SECONDS = 60
ASKED_SECONDS = 2


def docker_answers() -> bool:
    """Whether containers can be started here."""
    try:
        return bool(docker.from_env(timeout=ASKED_SECONDS).ping())
    except (DockerException, OSError):
        return False


class RabbitContainer:
    """The run's RabbitMQ as a container, with its management interface."""

    def __init__(self) -> None:
        self._container = DockerContainer(IMAGE).with_exposed_ports(AMQP, MANAGEMENT)

    def start(self) -> "RabbitContainer":
        """Start it and wait until it accepts connections."""
        self._container.start()
        wait_for_logs(self._container, READY, READY_SECONDS)
        return self

    @property
    def url(self) -> str:
        """The AMQP address, a space, and the management API's address."""
        host = self._container.get_container_host_ip()
        amqp, api = (self._container.get_exposed_port(port) for port in (AMQP, MANAGEMENT))
        return f"amqp://{ACCOUNT}:{ACCOUNT}@{host}:{amqp}/ http://{ACCOUNT}:{ACCOUNT}@{host}:{api}/api"

    def dispose(self) -> None:
        """End and remove it."""
        self._container.stop()
