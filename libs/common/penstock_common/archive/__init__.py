"""The archive: what services said, in object storage, long after bus and outbox have forgotten it."""
