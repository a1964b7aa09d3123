"""Knowledge bases and documents as their owner sees them."""

from sqlalchemy import text

from penstock_common.contracts.documents import (
    BaseList,
    BaseShown,
    DocumentList,
    DocumentShown,
    DocumentState,
    ReadBases,
    ReadDocuments,
    name_context,
)
from penstock_common.db.transaction import Database
from penstock_common.errors import SubjectErased
from penstock_common.sealing import Sealer

MOST = 1000  # rows an answer
ERASED = "(erased)"

BASES = """
select b.id as base_id, b.name, b.model, b.created_at, b.chunk_characters, b.overlap_characters,
    count(d.id)::int as documents, coalesce(sum(d.chunks) filter (where d.state = 'indexed'), 0)::int as chunks
from indexer.bases b left join indexer.documents d on d.base_id = b.id
where b.tenant = :tenant and b.removed_at is null and b.id = coalesce(cast(:base_id as uuid), b.id)
    and b.id > coalesce(cast(:after as uuid), '00000000-0000-0000-0000-000000000000')
group by b.id order by b.id limit :limit
"""
DOCUMENTS = """
select d.id as document_id, d.base_id, d.sealed_name, d.media_type, d.size, d.state, d.version, d.created_at,
    d.changed_at, d.chunks, d.pages, d.attempts, d.error_code, d.error
from indexer.documents d join indexer.bases b on b.id = d.base_id
where d.base_id = :base_id and d.tenant = :tenant and b.removed_at is null
    and d.id = coalesce(cast(:document_id as uuid), d.id) and d.state = coalesce(cast(:state as text), d.state)
    and d.id > coalesce(cast(:after as uuid), '00000000-0000-0000-0000-000000000000')
order by d.id limit :limit
"""


class Shown:
    """Answers what an owner asks. Raises DatabaseUnavailable."""

    def __init__(self, database: Database, sealer: Sealer) -> None:
        self.database, self.sealer = database, sealer

    async def bases(self, question: ReadBases) -> BaseList:
        """The bases of a tenant by age, or the one of an id."""
        limit = min(question.limit, MOST)
        given = {"tenant": question.tenant, "base_id": question.base_id, "after": question.after, "limit": limit}
        async with self.database.reading() as connection:
            rows = (await connection.execute(text(BASES), given)).all()
        return BaseList(bases=[BaseShown(**row._mapping) for row in rows])

    async def documents(self, question: ReadDocuments) -> DocumentList:
        """The documents of a base by age, or the one of an id."""
        names = ("tenant", "base_id", "document_id", "after")
        given = {name: getattr(question, name) for name in names}
        given |= {"state": question.state and question.state.value, "limit": min(question.limit, MOST)}
        async with self.database.reading() as connection:
            rows = (await connection.execute(text(DOCUMENTS), given)).all()
        return DocumentList(documents=[self._document(dict(row._mapping)) for row in rows])

    def _document(self, row: dict[str, object]) -> DocumentShown:
        name = opened_name(self.sealer, row)
        state = DocumentState(str(row.pop("state")))
        return DocumentShown(name=name, state=state, **row)  # type: ignore[arg-type]


def opened_name(sealer: Sealer, row: dict[str, object]) -> str:
    """A document's name, taken out of the row; empty where it never had one."""
    sealed, document_id = row.pop("sealed_name"), row["document_id"]
    if not sealed:
        return ""
    try:
        return sealer.open(name_context(document_id), bytes(sealed)).decode()  # type: ignore[call-overload, arg-type]
    except SubjectErased:
        return ERASED
