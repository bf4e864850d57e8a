"""Pure rules: how findings become a report, and what a proof tries."""
