"""Charts: data in, a matplotlib figure out; nothing is computed and nothing is written here."""
