"""What a description is written to: indented lines with tabs between cells, aligned when all is said.

Upstream's PrefixWriter: two spaces per level, and control characters that would reach the terminal are shown, not sent.
"""

from __future__ import annotations

from steersman.cli.kubectl.tabwriter import align

_UNSAFE = str.maketrans({"\x1b": "^[", "\r": "\\r"})


class Writer:
    """Collects text. `nested` is the same text some levels deeper."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._indent = ""

    def nested(self, levels: int) -> Writer:
        deeper = Writer()
        deeper._parts = self._parts
        deeper._indent = self._indent + "  " * levels
        return deeper

    def write(self, text: str, level: int = 0) -> None:
        """`text` as it is, after the indentation; it ends its line itself."""
        self._parts.append(f"{self._indent}{'  ' * level}{text}")

    def field(self, name: str, value: object, level: int = 0) -> None:
        """`Name:<tab>value`."""
        self.write(f"{name}:\t{value}\n", level)

    def row(self, *cells: object, level: int = 1) -> None:
        self.write("\t".join(map(str, cells)) + "\n", level)

    def heading(self, *cells: str, level: int = 1) -> None:
        """A table's head, each title underlined to its length."""
        self.row(*cells, level=level)
        self.row(*("-" * len(cell) for cell in cells), level=level)

    def entries(self, title: str, texts: list[str], *, indent: str = "") -> None:
        """The first text beside the title, the others below it; `<none>` if there is none."""
        if not texts:
            # The indentation is written again before `<none>` where this is nested: upstream's columns count it.
            self.write(f"{indent}{title}:\t")
            self.write("<none>\n")
            return
        self.write(f"{indent}{title}:\t")
        for place, text in enumerate(texts):
            if place:
                self.write(indent)
                self.write("\t")
            self.write(f"{text}\n")

    def text(self) -> str:
        return align(self.unaligned())

    def unaligned(self) -> str:
        """With the tabs left in: `rollout history --revision` shows templates so."""
        return "".join(self._parts).translate(_UNSAFE)
