"""Gates: what must hold before a change lands. One module a gate, each a pure function from content to findings."""
