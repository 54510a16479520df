"""What should this call do? From what is known and what the call itself shows, to a plan; afterwards, to a lesson.

adviser.py                  one call's adviser: asks all the others
ahead.py, worth.py          whether to ask at all, before the first item and after some
knowledge.py                what is known about a function, in this process and in the store
clearance.py, shares.py     what keeps other processes or threads from joining in, and what they would gain
sending.py                  what it costs to send items and results, and what lets them be sent
plans.py                    the plan, found again where nothing has changed
lesson.py                   what the call has taught
missed.py                   what loops have missed because no fresh interpreter was warm
forecast.py, trial.py       what a call would do, without doing it; a try on a few items
forget.py                   nothing of all that, any more
"""
