# What compose.yaml uses of docker.io/library/rabbitmq: conf.d, RABBITMQ_DEFAULT_USER and _PASS, nc for the health check.
ARG BASE
FROM ${BASE}
RUN apt-get update -qq && apt-get install -qqy --no-install-recommends rabbitmq-server netcat-openbsd \
    && rabbitmq-plugins --offline enable rabbitmq_management && mkdir -p /etc/rabbitmq/conf.d \
    && printf 'log.console = true\nlog.file = false\n' >/etc/rabbitmq/conf.d/10-image.conf
USER rabbitmq
CMD ["rabbitmq-server"]
