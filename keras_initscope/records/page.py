"""A record as a person reads it: sections, as plain text and as Markdown.

Owns how sections are put together. Knows nothing of what they say.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from keras_initscope.text import aligned, bulleted, fitted, markdown_table

WIDTH = 100  # characters a line


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a page.

    Args:
        title: Its title.
        text: What it says, as plain text.
        markdown: The same as Markdown.
    """

    title: str
    text: str
    markdown: str


class Page(ABC):
    """A record that is read as a headline and sections below it."""

    __slots__ = ()

    @property
    @abstractmethod
    def headline(self) -> str:
        """What it is about, in a line."""

    @property
    @abstractmethod
    def sections(self) -> tuple[Section, ...]:
        """Its parts, the most important one first."""

    def markdown(self) -> str:
        """The page as Markdown, layer paths in full."""
        parts = [f"## {each.title}\n\n{each.markdown}" for each in self.sections]
        return "\n\n".join([f"**{self.headline}**", *parts]) + "\n"

    def __str__(self) -> str:
        parts = [f"{each.title}\n{'=' * len(each.title)}\n{each.text}" for each in self.sections]
        return "\n\n".join([self.headline, *parts])

    def _repr_markdown_(self) -> str:
        return self.markdown()


def listed(title: str, points: Sequence[str]) -> list[Section]:
    """A list of points as a section, none where there are no points."""
    return [Section(title, bulleted(points, WIDTH), bulleted(points))] if points else []


def defined(title: str, terms: Iterable[tuple[str, str]]) -> Section:
    """Terms and what they mean as a section."""
    known = list(terms)
    return Section(
        title,
        bulleted([f"{term}: {meaning}" for term, meaning in known], WIDTH),
        bulleted([f"**{term}**: {meaning}" for term, meaning in known]),
    )


def tabled(
    title: str, header: Sequence[str], cells: Sequence[Sequence[str]], left: Sequence[bool]
) -> Section:
    """A table as a section, with layer paths in its second column; what is flush left gives way."""
    yielding = [i for i, is_text in enumerate(left) if is_text][::-1]
    quoted = [[row[0], f"`{row[1]}`", *row[2:]] for row in cells]
    return Section(
        title,
        aligned(header, fitted(header, cells, yielding, WIDTH), left),
        markdown_table(header, quoted, left),
    )
