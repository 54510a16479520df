"""Seeded chaos: thousands of short runs of every kind, while workers are killed and stopped, and Ctrl-C is pressed.

    watchdog  --number-->  runner: one process that does run after run, and says what became of each
              --SIGKILL, SIGSTOP, SIGINT-->  its workers, and itself
              --starts and kills-->  programs that run and write the same store

What is done in run n follows from the seed and n alone (`plans`); at which instruction it strikes does not.
"""
