"""Speed beside other simulators, on the same work, in one run; see README.md."""
