"""XML written element by element, whatever names hold."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING
from xml.sax.saxutils import XMLGenerator
from xml.sax.xmlreader import AttributesImpl

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

# What XML 1.0 does not allow however it is escaped, or gives back otherwise; names may hold it.
_NO_XML = re.compile("[^\t\n\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@contextmanager
def xml_file(path: Path) -> Iterator[Xml]:
    """Create a file of XML, to be filled inside the ``with`` block.

    UTF-8 needs no declaration, and Label Studio takes none in its interfaces.
    """
    with path.open("w", encoding="utf-8", newline="\n") as file:
        yield Xml(XMLGenerator(file, "utf-8", short_empty_elements=True))


class Xml:
    """Writes elements one after the other, escaping what must be.

    Args:
        out: of the standard library.
    """

    def __init__(self, out: XMLGenerator) -> None:
        self._out = out

    @contextmanager
    def element(self, name: str, attributes: Mapping[str, str] | None = None) -> Iterator[None]:
        """Open an element around what is written inside the ``with`` block."""
        allowed = {key: _allowed(value) for key, value in (attributes or {}).items()}
        self._out.startElement(name, AttributesImpl(allowed))
        yield
        self._out.endElement(name)
        self._out.ignorableWhitespace("\n")

    def text(self, name: str, text: str, attributes: Mapping[str, str] | None = None) -> None:
        """Write an element that holds text."""
        with self.element(name, attributes):
            self._out.characters(_allowed(text))


def _allowed(text: str) -> str:
    return _NO_XML.sub("\ufffd", text)
