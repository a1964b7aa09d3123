"""RabbitMQ, from 3.10 on: quorum queues, publisher confirms, retry levels by TTL."""
