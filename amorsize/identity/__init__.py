"""Who is asking, and where: the function, its items, and the machine, as far as they decide how long items take.

    function.py   function_key: a function and everything that its code reaches, as one digest
    likeness.py   likeness: whether two processes have the same function, state included
    foreign.py    foreign: what a program may have set in libraries that a function uses
    reach.py      reach: live handles that a second process must not share
    inputs.py     input_class: what kind of item
    machine.py    machine, capacity: what this computer is, and how much of it is ours

    code.py, loads.py, origin.py   what both walks over a function stand on
    naming.py, values.py           objects and plain values as something that every process writes alike
    imports.py                     modules that code imports itself, loaded or not
    unchanged.py                   whether a function is what it was when it was last asked about
    handles.py                     types whose objects are live handles
    uses.py                        which attributes and elements of what has a name code reads and changes
    changes.py                     what a function changes in place, and a worker process has a copy of
    scratch.py                     what code keeps for a moment where all threads share it
    process_state.py               what belongs to the whole process, so that threads would set it for each other
    logs.py                        loggers that code writes with
    cgroup.py                      what the kernel's control groups allow

Facts are read here, never measured.
"""
