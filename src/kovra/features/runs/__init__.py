"""Runs: commands that run once from a release's own image, with its config and secrets; and cron jobs, which start them.

A run goes queued → starting → running → done, with an outcome that is final. A cron job's tick is one run, whatever happens:
it runs, or is skipped and says why. Tables: ``runs``, ``cron_jobs``.
"""
