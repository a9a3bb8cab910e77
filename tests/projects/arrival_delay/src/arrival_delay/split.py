"""Stage split, by whole days: see :func:`modelkit.stages.split_stage`."""

from modelkit.project import stage
from modelkit.stages import split_stage

from arrival_delay.fields import FIELDS, TARGET

if __name__ == "__main__":
    stage(lambda: split_stage(TARGET, FIELDS, group="day"))
