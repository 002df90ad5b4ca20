"""Views of a verdict: page, terminal, markdown, JUnit. Formatting only, nothing is computed."""
