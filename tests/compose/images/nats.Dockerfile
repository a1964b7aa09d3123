# What compose.yaml uses of docker.io/library/nats: its command line, wget for the health check, a store in /data.
ARG BASE
FROM ${BASE}
RUN apt-get update -qq && apt-get install -qqy --no-install-recommends wget && mkdir /data
COPY nats-server /usr/local/bin/nats-server
ENTRYPOINT ["nats-server"]
