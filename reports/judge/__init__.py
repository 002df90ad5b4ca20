"""Gates put to a case: one kind of gate a module, each giving a result with its numbers."""
