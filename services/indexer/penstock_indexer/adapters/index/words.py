"""Words in Tantivy: BM25, incremental, on disk. It holds keyed digests of words, never the words."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from penstock_indexer.adapters.index.entries import Change, slot_of
from penstock_indexer.adapters.index.files import digest, replace

if TYPE_CHECKING:
    import tantivy

HEAP = 15_000_000  # bytes, the least a writer takes
OWN = frozenset({".tantivy-writer.lock", ".tantivy-meta.lock"})


class State(msgspec.Struct, frozen=True):
    """What the folder contained when its sequence was reached: file name → digest.

    Files are mapped into memory, and a damaged one would end the process: they are compared before they are opened.
    """

    sequence: int = 0
    files: dict[str, str] = {}


class WordIndex:
    """The words of one knowledge base. Not for two threads at once."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._state_path = folder, folder.with_suffix(".state")
        self._state = State()
        self._index: tantivy.Index | None = None

    @property
    def sequence(self) -> int:
        """What it contains."""
        return self._state.sequence

    def load(self) -> bool:
        """Open the folder; False where there is none, or it is not what was written."""
        try:
            state = msgspec.json.decode(self._state_path.read_bytes(), type=State)
            if not state.files or self._files({}) != state.files:
                return False
        except (FileNotFoundError, msgspec.MsgspecError):
            return False
        self._state = state
        self._open()
        return True

    def clear(self) -> None:
        """Begin anew."""
        self._index, self._state = None, State()
        self._state_path.unlink(missing_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def apply(self, change: Change) -> None:
        """Replace documents, and keep that on disk."""
        import tantivy  # noqa: PLC0415 (only where there are words)

        index = self._index or self._open()
        writer = index.writer(HEAP, 1)
        for slot in change.slots:
            writer.delete_documents_by_term("slot", slot)
        for entry in change.entries:
            given = {"words": entry.words, "id": entry.id, "slot": slot_of(entry.id)}
            writer.add_document(tantivy.Document.from_dict(given, _schema()))
        writer.commit()
        writer.wait_merging_threads()
        index.reload()
        self._state = State(max(self.sequence, change.sequence), self._files(self._state.files))
        replace(self._state_path, msgspec.json.encode(self._state))

    def search(self, tokens: Sequence[str], limit: int, slots: Sequence[int] | None) -> list[tuple[int, float]]:
        """(chunk id, BM25), the best first; of these documents only, where given."""
        if self._index is None or not tokens:
            return []
        searcher = self._index.searcher()
        found = searcher.search(_query(tokens, slots), limit)
        return [(searcher.doc(address)["id"][0], float(score)) for score, address in found.hits]

    def _open(self) -> "tantivy.Index":
        import tantivy  # noqa: PLC0415 (as above)

        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._index = tantivy.Index(_schema(), path=str(self.folder))
        return self._index

    def _files(self, known: dict[str, str]) -> dict[str, str]:
        """Digests of the folder's files; segments never change under one name, so known ones are not read again."""
        names = sorted(path.name for path in self.folder.iterdir() if path.name not in OWN)
        return {
            name: known[name] if name in known and not name.endswith(".json") else digest(self.folder / name)
            for name in names
        }


def _schema() -> "tantivy.Schema":
    import tantivy  # noqa: PLC0415 (as above)

    builder = tantivy.SchemaBuilder()
    builder.add_text_field("words", tokenizer_name="whitespace", index_option="freq")
    builder.add_integer_field("id", stored=True)
    builder.add_integer_field("slot", indexed=True)
    return builder.build()


def _query(tokens: Sequence[str], slots: Sequence[int] | None) -> Any:
    import tantivy  # noqa: PLC0415 (as above)

    schema, occur, query = _schema(), tantivy.Occur, tantivy.Query
    words = [(occur.Should, query.term_query(schema, "words", token, "freq")) for token in dict.fromkeys(tokens)]
    any_word = query.boolean_query(words)
    if slots is None:
        return any_word
    only = query.const_score_query(query.term_set_query(schema, "slot", list(slots)), 0.0)
    return query.boolean_query([(occur.Must, any_word), (occur.Must, only)])
