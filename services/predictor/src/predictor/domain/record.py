"""How large a record on ``predictions`` may be: Kafka takes 1 MiB, headers and all."""

MAX_RECORD_ROWS = 2_000
MAX_RECORD_BYTES = 900_000
