"""What amorsize is measured by, beside the plain loop and its peers. Runs from a clone: `python -m benchmarks list`.

    __main__   the command line          table, plot  rows as text, as JSON, and drawn
    catalog    what can be run           summary      what many rows say together (pure)
    rows/      one module for each kind of question
    tour       the workloads: their kind, and how much of each     goals   bounds that several questions share (pure)
    contest    search every peer's settings, run the best in turn  poison  lies for a store of timings
    pairing    A B, B A, A B, ...        figures      median, interval, goal, verdict (pure)
    launch     a fresh child process     child, storing, server       what runs in one
    sizes      how much work that is     machine      where this ran, and who else was using it
    peers      those who are compared    workloads/   the functions that are mapped, and their items

Every figure is the median over rounds in which all contenders ran in turn, with the interval that holds the true
median in nine cases out of ten. `child`, `peers` and `workloads` import next to nothing: what they load would be
missing from a contender's first call.
"""
