"""Stage evaluate: see :func:`modelkit.stages.evaluate_stage`."""

from modelkit.project import stage
from modelkit.stages import evaluate_stage

from arrival_delay.fields import FIELDS, TARGET

if __name__ == "__main__":
    stage(lambda: evaluate_stage(TARGET, FIELDS))
