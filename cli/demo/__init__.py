"""`python main.py demo`: the closed loop on this machine; only the outside systems and their people are made up."""
