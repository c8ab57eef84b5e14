import sys

from benchmarks.faults.commands import main

sys.exit(main(sys.argv[1:]))
