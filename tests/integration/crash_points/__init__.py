"""Every statement and publish of relay, inbox, ledger, tick and dead letter as a place to die at, on both buses."""
