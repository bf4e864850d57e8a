"""Job handlers of runs and cron jobs."""
