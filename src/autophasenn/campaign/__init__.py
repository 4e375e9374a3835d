"""Many scans as one campaign: each reconstructed into a folder of its own, all in one table, their images as a series."""
