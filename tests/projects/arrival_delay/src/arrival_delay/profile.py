"""Stage profile: see :func:`modelkit.stages.profile_stage`."""

from modelkit.project import stage
from modelkit.stages import profile_stage

from arrival_delay.fields import FIELDS, TARGET

if __name__ == "__main__":
    stage(lambda: profile_stage(TARGET, FIELDS))
