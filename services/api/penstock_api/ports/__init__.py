"""What api's routes and handlers need of the outside."""
