"""Ask a folder: index its documents, ask a question, get an answer that says where it stands."""

import json
from pathlib import Path

from examples.platform import options, platform, script_for

HERE = Path(__file__).parent
QUESTION = "How long does the gate take to fall in an emergency?"


def main() -> None:
    """Index the folder, and ask."""
    parser = options(__doc__ or "")
    parser.add_argument("--folder", type=Path, default=HERE / "pages", help="text, Markdown, HTML and PDF files")
    parser.add_argument("--question", default=QUESTION)
    given = parser.parse_args()
    with platform(given) as penstock:
        penstock("kb", "create", "handbook")
        penstock("kb", "add", "handbook", str(given.folder))
        penstock("kb", "search", "handbook", given.question, "--limit", "3")
        penstock("tasks", "apply", str(HERE / "task.yaml"), "--name", "ask-handbook")
        script = script_for(given.model, "sim: say The extracts say: {last}")
        asked = {"question": given.question, "model": given.model, "script": script}
        run = penstock.json("runs", "start", "ask-handbook", "--input", json.dumps(asked))
        output = penstock.ended(run["id"])["output"]
        print(f"\n{output['answer']}\n")
        for number, chunk in enumerate(output["citations"], 1):
            place = f"page {chunk['page']}" if chunk.get("page") else f"characters {chunk['start']}-{chunk['end']}"
            print(f"[{number}] {chunk['name']}, {place}")
        if given.question == QUESTION and "ninety seconds" not in output["citations"][0]["text"]:
            raise SystemExit("the first citation does not hold the answer")


if __name__ == "__main__":
    main()
