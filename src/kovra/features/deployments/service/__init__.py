"""The rules: accepting what is wanted (``start``), rolling back (``rollback``), and writing what was seen (``progress``)."""
