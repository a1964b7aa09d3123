"""Which of the requests that arrived is worked on, where there are more than slots."""
