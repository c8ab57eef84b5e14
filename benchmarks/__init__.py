"""Programs that prove what the daemon claims: `python -m benchmarks.faults`, `.relay`, `.create`, `.track`, `.startup`.

Each runs on a private RabbitMQ node and a local Bitrix24 sandbox, prints its table, and writes it into the documents
with `--record`.
"""
