"""Vectors in FAISS: a flat index by inner product, exact, in memory; on disk one file, sealed by the tenant's key."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

from penstock_common.errors import ContractViolated
from penstock_common.sealing import Sealer
from penstock_indexer.adapters.index.entries import SLOT_BITS, Change
from penstock_indexer.adapters.index.files import replace
from penstock_indexer.adapters.secrets import index_context

HEAD = 8  # bytes: the sequence that the file contains
THREADS = 1


class VectorIndex:
    """The vectors of one knowledge base. Not for two threads at once."""

    def __init__(self, path: Path, base_id: UUID, tenant: UUID, sealer: Sealer) -> None:
        self.path, self.base_id, self.tenant, self.sealer = path, base_id, tenant, sealer
        self.sequence = self.saved = 0
        self._index: Any = None  # a faiss.IndexIDMap2; the library declares less than it has

    def load(self) -> bool:
        """Read the file; False where there is none, or it is not what was written."""
        try:
            content = self.sealer.open(index_context(self.base_id), self.path.read_bytes())
        except (FileNotFoundError, ContractViolated):
            return False
        import faiss  # noqa: PLC0415 (40 MB of memory, only where there are vectors)
        import numpy as np  # noqa: PLC0415 (as above)

        faiss.omp_set_num_threads(THREADS)
        if len(content) > HEAD:
            self._index = faiss.deserialize_index(np.frombuffer(content, dtype=np.uint8, offset=HEAD))
        self.sequence = self.saved = int.from_bytes(content[:HEAD])
        return True

    def clear(self) -> None:
        """Begin anew."""
        self._index, self.sequence, self.saved = None, 0, 0
        self.path.unlink(missing_ok=True)

    def apply(self, change: Change) -> None:
        """Replace documents."""
        import faiss  # noqa: PLC0415 (as above)

        if self._index is not None:
            for slot in change.slots:
                self._index.remove_ids(faiss.IDSelectorRange(slot << SLOT_BITS, (slot + 1) << SLOT_BITS))
        if change.entries:
            self._add(change)
        self.sequence = max(self.sequence, change.sequence)

    def search(self, vector: bytes, limit: int, slots: Sequence[int] | None) -> list[tuple[int, float]]:
        """(chunk id, cosine), the nearest first; of these documents only, where given."""
        if self._index is None or not self._index.ntotal:
            return []
        import numpy as np  # noqa: PLC0415 (as above)

        wanted = np.frombuffer(vector, dtype="<f4").reshape(1, -1)
        if wanted.shape[1] != self._index.d:
            return []
        scores, ids = self._index.search(wanted, min(limit, self._index.ntotal), params=self._only(slots))
        return [(int(id_), float(score)) for id_, score in zip(ids[0], scores[0], strict=True) if id_ >= 0]

    def save(self) -> None:
        """Bring it to disk, if it changed."""
        if self.saved == self.sequence:
            return
        import faiss  # noqa: PLC0415 (as above)

        body = faiss.serialize_index(self._index).tobytes() if self._index is not None else b""
        content = self.sequence.to_bytes(HEAD) + body
        replace(self.path, self.sealer.seal(self.tenant, index_context(self.base_id), content))
        self.saved = self.sequence

    def _add(self, change: Change) -> None:
        import faiss  # noqa: PLC0415 (as above)
        import numpy as np  # noqa: PLC0415 (as above)

        rows = np.frombuffer(b"".join(e.vector for e in change.entries), dtype="<f4").reshape(len(change.entries), -1)
        if self._index is None:
            faiss.omp_set_num_threads(THREADS)
            self._index = faiss.IndexIDMap2(faiss.IndexFlatIP(rows.shape[1]))
        self._index.add_with_ids(rows, np.array([entry.id for entry in change.entries], dtype=np.int64))

    def _only(self, slots: Sequence[int] | None) -> Any:
        if slots is None:
            return None
        import faiss  # noqa: PLC0415 (as above)
        import numpy as np  # noqa: PLC0415 (as above)

        ids = faiss.vector_to_array(self._index.id_map)
        chosen = ids[np.isin(ids >> SLOT_BITS, np.array(slots, dtype=np.int64))]
        only: Any = faiss.SearchParameters
        return only(sel=faiss.IDSelectorBatch(chosen))
