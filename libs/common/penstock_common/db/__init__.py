"""PostgreSQL: engine, transactions with inbox and outbox, migrations."""
