"""Whether one version of a model can take another's place without its clients noticing.

The trainer asks before it announces a version, the predictor before it lets one serve: both mean the same.
"""

from __future__ import annotations

from summaries.profile import FieldSpec, Profile


def differences(before: Profile, after: Profile) -> list[str]:
    """What clients of ``before`` would notice of ``after``, in words; nothing where they need no change.

    Fields count by name, type, shape and whether they may be missing, in any order; ranges, units, encoders and
    classes may differ.

    >>> def profile(spec: FieldSpec, target: str) -> Profile:
    ...     return Profile.build({spec.name: [1]}, [spec], [1.0], None, target, None, "regression")
    >>> before = profile(FieldSpec("age", "float32"), "price")
    >>> differences(before, profile(FieldSpec("age", "float32", unit="a", max=9), "price"))
    []
    >>> differences(before, profile(FieldSpec("age", "int64"), "rent"))
    ['age was float32 and is int64', 'the target was price and is rent']
    >>> differences(before, profile(FieldSpec("year", "float32", optional=True), "price"))
    ['age is gone', 'year (float32, optional) is new']
    """
    old, new = ({field.name: _asked(field.spec) for field in p.features} for p in (before, after))
    found = [f"{name} is gone" for name in old if name not in new]
    found += [f"{name} ({asked}) is new" for name, asked in new.items() if name not in old]
    found += [
        f"{name} was {old[name]} and is {new[name]}" for name in old if old[name] != new.get(name, old[name])
    ]
    for what in ("target", "task"):
        was, is_ = getattr(before, what), getattr(after, what)
        if was != is_:
            found.append(f"the {what} was {was} and is {is_}")
    return found


def _asked(spec: FieldSpec) -> str:
    asked = spec.dtype if spec.shape is None else f"{spec.dtype} of {' x '.join(map(str, spec.shape))}"
    return f"{asked}, optional" if spec.optional else asked
