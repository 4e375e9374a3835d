"""Methods compared on datasets whose truth is known."""
