"""Delivery over NATS JetStream or RabbitMQ: the same rules, handlers and guarantees on both."""
