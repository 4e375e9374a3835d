"""Reading patterns and writing results; a write is whole or not at all."""
