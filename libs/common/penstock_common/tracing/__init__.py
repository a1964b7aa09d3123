"""One trace a request, through every process that it touches. Where no endpoint is set, next to nothing."""
