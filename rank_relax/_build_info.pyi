# The module is written by setup.py, beside the library that it compiles.

library: str  # the file's name
torch_version: str
cuda_version: str | None  # that torch's; None if it was for the CPU alone
