"""Pages for people: the only room with sessions and templates."""
