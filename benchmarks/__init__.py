"""What amorsize is measured by, beside the plain loop and its peers. Runs from a clone: `python -m benchmarks list`.

    __main__   the command line          table     rows as text and as JSON
    catalog    what can be run           rows/     one module for each kind of question
    pairing    A B, B A, A B, ...        figures   median, interval, goal, verdict (pure)
    launch     a fresh child process     child     what runs in it: peers over workloads
    sizes      how much work that is     machine   where this ran, and who else was using it

Every figure is the median over rounds in which all contenders ran in turn, with the interval that holds the true
median in nine cases out of ten. `child`, `peers` and `workloads` import next to nothing: what they load would be
missing from a contender's first call.
"""
