"""`penstock audit bus` on real servers."""
