"""One module per command of `penstock`; what is heavy is imported when the command runs."""
