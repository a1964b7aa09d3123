"""Events as the services' outboxes keep them: which are wanted, how they are read, and how they are written down."""
