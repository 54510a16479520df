"""What is best for a call, given what is known. Pure: it reads no clock, no disk and no operating system."""
