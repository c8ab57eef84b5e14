"""The fault matrix: `python -m benchmarks.faults` breaks everything around the daemon and accounts for every task.

commands   which rows, how often             report     tables, documents, JSON
rows/      the faults, as values             lanes      private RabbitMQ nodes, one row at a time on each
runner     plays one row                     stage      portal, proxy, workers, Camunda's side of a row
driver     publishes                         account    judges every task id (pure)
worker     the daemon as a service           daemon     the daemon with a kill point or without a protection
soak       a long run: nothing may grow
"""
