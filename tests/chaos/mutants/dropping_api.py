"""api, but one piece of an answer in a hundred is lost on its way to the client, and its ids go on."""

from penstock_api.app import build
from penstock_api.settings import Settings
from penstock_common.service import run_service
from tests.chaos.mutants.answers import mutate

if __name__ == "__main__":
    mutate(lambda piece: [])
    run_service("api", Settings, build)
