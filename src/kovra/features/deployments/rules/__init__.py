"""Pure helpers: the table of reasons, and the masking of evidence."""
