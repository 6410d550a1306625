"""Pure tensor functions: no state, no files; each has a slow obvious oracle in the tests."""
