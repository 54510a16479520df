"""What people type in a shell, command by command; `cli` says which there are.

cache.py      amorsize cache ...: look at what is kept, drop it
exchange.py   carry it to another machine, or back to this one
doctor.py     amorsize doctor: examine this machine
explain.py    amorsize explain: find a function by its name, and look ahead
terminal.py   what they say, and where
"""
