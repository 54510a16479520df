"""What is known about a function and about this machine. Pure: it reads no clock, no disk and no operating system."""
