"""What several places share is not changed from one of them.

A token narrowed to an app saw only that app's pairs: an environment it made lacked those of the other apps, one it
deleted went on running them. So an environment is written by who reaches all apps of its project, an app by who
reaches all its environments, a project by who reaches all of both.

Revision: 0019_places_whole
After: 0018_know_networks
"""

from __future__ import annotations

from migrations.policies import whole

revision = "0019_places_whole"
down_revision = "0018_know_networks"
branch_labels = None
depends_on = None


def upgrade() -> None:
    whole("projects", "app", "environment")
    whole("environments", "app")
    whole("apps", "environment")


def downgrade() -> None:
    raise NotImplementedError("restore a backup instead")
