# SPDX-License-Identifier: Apache-2.0
"""Who has which file in hand, for census.py: no concurrency here."""
import itertools


class Ledger:
    """The files of a job, and the crews that they are dealt to.

    Law: a file that was found is in one crew's hand, or to be dealt, or it has ended. It ends by the message that brings its words as well, so its words count
    once, however often it was dealt.
    """

    def __init__(self, found, room):
        self.found = found      # an iterator: (number, path) of each file of the walk
        self.room = room        # files that a crew may have in hand
        self.hands = {}         # crew: {number: path}
        self.places = {}        # crew: the worker it is in
        self.again = {}         # what crews had in hand that have died, {number: path}
        self.suspects = {}      # of these, what may be why
        self.peak = 0           # files in hands at once

    def hire(self, crew, place):
        self.hands[crew], self.places[crew] = {}, place

    def deal(self):
        """Fills all hands: yields (crew, [(number, path)])."""
        for crew, hand in self.hands.items():
            if files := list(itertools.islice(self._next(crew), self.room - len(hand))):
                hand.update(files)
                yield crew, files
        self.peak = max(self.peak, sum(map(len, self.hands.values())))

    def _next(self, crew):
        """What is to be dealt to a crew. A suspect goes to one with nothing else in hand, never to the program's own: what it does then costs only itself."""
        if self.suspects and self.places[crew]:
            if not self.hands[crew]:
                yield self.suspects.popitem()
            return
        for file in self.found:  # "yield from" would end it with this generator
            yield file
        while self.again:
            yield self.again.popitem()

    def ended(self, crew, number):
        """The worker in which a file has ended."""
        del self.hands[crew][number]
        return self.places[crew]

    def lost(self, crew, blameless):
        """A crew has died; blameless: not by what it did. Gives (place, files to be done again, the path of the one that ends workers, or None)."""
        hand, place = self.hands.pop(crew), self.places.pop(crew)
        if not blameless and len(hand) == 1:
            return place, 0, hand.popitem()[1]
        (self.again if blameless else self.suspects).update(hand)
        return place, len(hand), None

    def stop(self):
        """No more files than have been dealt so far."""
        self.found = iter(())

    def is_over(self):
        """Whether all files have ended; after deal()."""
        return bool(self.hands) and not any(self.hands.values()) and not self.again and not self.suspects
