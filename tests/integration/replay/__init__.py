"""`penstock events replay` and `penstock events project` on real servers."""
