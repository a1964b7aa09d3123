"""What indexer counts."""

from prometheus_client import Counter, Histogram

DOCUMENTS = Counter(
    "penstock_indexer_documents", "Turns of documents by how they ended: indexed, paused, delayed, failed", ["outcome"]
)
CHUNKS = Counter("penstock_indexer_chunks", "Chunks that were embedded")
SEARCHES = Counter("penstock_indexer_searches", "Searches by how they ended: answered, refused, broken", ["outcome"])
SEARCH_SECONDS = Histogram(
    "penstock_indexer_search_seconds",
    "From a search's arrival to its answer, the embedding of the question included",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1, 2.5, 5, 10, 20),
)
