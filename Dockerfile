# One image for server and nodes of a deployment: docker build -t ufgraphfr:0.2.0 .
# What runs, as whom and with which folders, is in the compose files that deploy init writes.
FROM python:3.11-slim

# the accounts of the compose files: agent, SuperNode, server
RUN groupadd --system --gid 10001 ufgraphfr-agent \
    && groupadd --system --gid 10002 ufgraphfr-node \
    && groupadd --system --gid 10003 ufgraphfr-server \
    && useradd --system --uid 10001 --gid 10001 --no-create-home ufgraphfr-agent \
    && useradd --system --uid 10002 --gid 10002 --no-create-home ufgraphfr-node \
    && useradd --system --uid 10003 --gid 10003 --no-create-home ufgraphfr-server

WORKDIR /build
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY src ./src
RUN pip install --no-cache-dir -c constraints.txt '.[flower,serve]' \
    && rm -rf /build/src

WORKDIR /
USER 10001:10001
CMD ["ufgraphfr", "--help"]
