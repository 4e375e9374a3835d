"""The page that runs: a folder's scans are looked at, masked by hand, phased and compared."""
