"""What goes wrong in real programs, done to amorsize and to its peers: who answers, with what, and what is left.

referee  ->  one process a cell, in a session of its own: `child` maps a case of `cases` with one of `contenders`
         ->  does the fault that comes from outside (Ctrl-C, SIGKILL), ends what hangs, looks for what survives
         ->  `cells` says it in words
"""
