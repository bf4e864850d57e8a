"""PostgreSQL: tenant sessions, statements, pages, leaders, notices. The only code that opens transactions."""
