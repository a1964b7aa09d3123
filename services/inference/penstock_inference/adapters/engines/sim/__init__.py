"""The simulated engine: no model, but a real tokenizer, real timing, real failures and a count of its own."""
