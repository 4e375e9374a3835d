"""What a sentence advises, in the words of whoever reads it.

A sentence on what is wrong is written where that is found, and names options of the command line. Not everybody who reads it
has them: a command lacks some, a form has fields and Python has arguments instead.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping

OPTION = re.compile(r"(?<![\w-])--(?:no-)?[a-z]+(?:-[a-z]+)*")
IN_A_COMMAND = re.compile(r"(?<![\w/\\.-])autophasenn(?: -\w)? [a-z](?:(?!\. )[^;,()])*$")
"""What an option stands behind that is said with its command already."""


def reworded(sentence: str, words: Callable[[str], str]) -> str:
    """A sentence with other words for each option that it names but in a command that it quotes.

    Examples
    --------
    >>> reworded("give --mask, or run autophasenn plan --training.", str.upper)
    'give --MASK, or run autophasenn plan --training.'
    """

    def said(option: re.Match[str]) -> str:
        return option[0] if IN_A_COMMAND.search(sentence[: option.start()]) else words(option[0])

    return OPTION.sub(said, sentence)


def advice_for(sentence: str, command: str, options: Mapping[str, Collection[str]]) -> str:
    """A sentence for who runs a command: an option that the command lacks is named with the command that has it.

    Parameters
    ----------
    sentence : str
    command : str
        Of the reader.
    options : mapping of str to collection of str
        Of each command; of several that have one, the first is named.

    Examples
    --------
    >>> options = {"reconstruct": ["--scan", "--spec"], "watch": ["--spec"]}
    >>> advice_for("Give --spec, and choose with --scan.", "watch", options)
    'Give --spec, and choose with autophasenn reconstruct --scan.'
    """

    def words(option: str) -> str:
        if option in options.get(command, ()):
            return option
        having = next((name for name, its in options.items() if option in its), None)
        return option if having is None else f"autophasenn {having} {option}"

    return reworded(sentence, words)
