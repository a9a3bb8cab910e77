"""What an applicant states (Agrawal, Imielinski and Swami 1993)."""

from summaries.profile import FieldSpec

TARGET = "approved"

FIELDS = [
    FieldSpec("salary", "float32", unit="USD", description="salary a year", min=0),
    FieldSpec("commission", "float32", unit="USD", description="commission a year; none from a salary of 75,000 on", min=0),
    FieldSpec("age", "float32", unit="a", description="age", min=0),
    FieldSpec("hvalue", "float32", unit="USD", description="value of the house", min=0),
    FieldSpec("hyears", "float32", unit="a", description="years the house has been owned", min=0),
    FieldSpec("loan", "float32", unit="USD", description="amount of the loan", min=0),
    FieldSpec("elevel", "string", description="level of education, 0 to 4"),
    FieldSpec("car", "string", description="make of the car, 1 to 20"),
    FieldSpec("zipcode", "string", description="zip code of the town, 0 to 8"),
]  # fmt: skip
