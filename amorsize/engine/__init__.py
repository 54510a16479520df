"""Do it: run a function over items, with workers beside the caller.

fork, supervise, worker    forked workers take ranges from a shared counter; the caller computes, too
thread                     threads do, where that pays
fed                        whatever cannot be shared beforehand is handed out: to forked workers, threads or
spawn                      fresh interpreters
collect, failure           results in order, errors with their place
"""
