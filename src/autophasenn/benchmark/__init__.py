"""Speed and memory of this machine, for `autophasenn benchmark`."""
