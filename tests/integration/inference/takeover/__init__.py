"""Answers that go on after their process died."""
