"""A text's words as tokens that say nothing without the tenant's key."""

from functools import cache
from typing import TYPE_CHECKING
from uuid import UUID

from penstock_common.sealing import Sealer

if TYPE_CHECKING:
    import tantivy

LONGEST = 64  # bytes of a word; what is longer is no word
DIGITS = 16  # of a token
MOST = 64  # different words of a question that count
STEMMED, TELLING = "stemmed", "telling"


class Tokens:
    """Lower case, without accents, English word stems; then a keyed digest of each."""

    def __init__(self, sealer: Sealer) -> None:
        self.sealer = sealer

    def of(self, tenant: UUID, text: str) -> list[str]:
        """One token a word, in order; equal words of a tenant have equal tokens. Raises SubjectErased."""
        return self._digests(tenant, _analyzer(STEMMED).analyze(text))

    def of_question(self, tenant: UUID, text: str) -> list[str]:
        """The tokens to search for: without the words that are everywhere, unless there are no others."""
        words = _analyzer(TELLING).analyze(text) or _analyzer(STEMMED).analyze(text)
        return self._digests(tenant, list(dict.fromkeys(words))[:MOST])

    def _digests(self, tenant: UUID, words: list[str]) -> list[str]:
        digests = {word: self.sealer.mac(tenant, b"word:" + word.encode())[:DIGITS] for word in set(words)}
        return [digests[word] for word in words]


@cache
def _analyzer(name: str) -> "tantivy.TextAnalyzer":
    import tantivy  # noqa: PLC0415 (only where there are words)

    only = tantivy.Filter
    stop = [only.stopword("english")] if name == TELLING else []
    builder = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.simple())
    for step in (only.remove_long(LONGEST), only.lowercase(), *stop, only.ascii_fold(), only.stemmer("english")):
        builder = builder.filter(step)
    return builder.build()
