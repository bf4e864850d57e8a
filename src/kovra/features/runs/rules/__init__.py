"""Pure helpers: the table of reasons, and schedules."""
