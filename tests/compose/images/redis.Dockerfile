# What compose.yaml uses of docker.io/library/redis: redis-server and redis-cli for any user.
ARG BASE
FROM ${BASE}
RUN apt-get update -qq && apt-get install -qqy --no-install-recommends redis-server
WORKDIR /data
