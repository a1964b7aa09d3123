"""`python -m tests.contract.make_documents`: write what docs/ says of routes, topics and metrics anew."""

from tests.contract import make_asyncapi, make_metrics, make_openapi


def main() -> None:
    """Write each, and name it."""
    for maker in (make_openapi, make_asyncapi, make_metrics):
        maker.PATH.write_text(maker.text())
        print(maker.PATH.name)


if __name__ == "__main__":
    main()
