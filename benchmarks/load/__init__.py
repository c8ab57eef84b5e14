"""Load shape: is one queue's backlog, slowness or outage felt by the others, and what does a backlog cost in memory?

python -m benchmarks.load            prints the tables
python -m benchmarks.load --record   also writes section `load` of docs/performance.md
"""
