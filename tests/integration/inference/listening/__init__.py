"""Who listens to generations, on both buses."""
