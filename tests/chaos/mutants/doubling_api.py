"""api, but one piece of an answer in a hundred reaches its client twice, and its ids go on."""

from penstock_api.app import build
from penstock_api.settings import Settings
from penstock_common.service import run_service
from tests.chaos.mutants.answers import mutate

if __name__ == "__main__":
    mutate(lambda piece: [piece, piece])
    run_service("api", Settings, build)
