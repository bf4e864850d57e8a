"""Change sets: what somebody wants of a project's environment, what that would change, and the one act that makes it so.

States: planning → ready | failed; ready → applied. A ready one goes stale when what it was made against was changed, and
expires a day after it was made; both are found out when it is applied, and nothing happens then.
Planning carries the changes out in a transaction that is taken back, so that a plan and its application cannot differ, and
asks the cluster by dry run what it would make of the objects.
Table: change_sets.
"""
