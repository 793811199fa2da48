"""What is alike in all programs that ask from inside one process."""

# What comes before is not counted.
WARM_UP_SECONDS = 0.5
# As long as the record of a patient.
BODY = "x" * 250
