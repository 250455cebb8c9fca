"""One column of a table, and short ways to declare one of each type."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

TEXT = pa.large_string()
INT = pa.int64()
REAL = pa.float64()
FLAG = pa.bool_()


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column."""

    name: str
    type: pa.DataType
    meaning: str
    unit: str = ""
    nullable: bool = False
    repeated: bool = False
    """Few distinct values in a file: Parquet encodes it through a dictionary."""

    def field(self) -> pa.Field[pa.DataType]:
        """Return the Arrow field, with its meaning and unit as metadata."""
        metadata = {"meaning": self.meaning, **({"unit": self.unit} if self.unit else {})}
        return pa.field(self.name, self.type, nullable=self.nullable, metadata=metadata)


def text_column(name: str, meaning: str, *, unit: str = "", nullable: bool = False) -> Column:
    """Return a column of texts."""
    return Column(name=name, type=TEXT, meaning=meaning, unit=unit, nullable=nullable)


def word_column(name: str, meaning: str, *, unit: str = "", nullable: bool = False) -> Column:
    """Return a column of texts of which a file has few distinct ones."""
    return Column(
        name=name, type=TEXT, meaning=meaning, unit=unit, nullable=nullable, repeated=True
    )


def int_column(name: str, meaning: str, *, unit: str = "", nullable: bool = False) -> Column:
    """Return a column of integers."""
    return Column(name=name, type=INT, meaning=meaning, unit=unit, nullable=nullable, repeated=True)


def real_column(name: str, meaning: str, *, unit: str, nullable: bool = False) -> Column:
    """Return a column of floats."""
    return Column(name=name, type=REAL, meaning=meaning, unit=unit, nullable=nullable)


def flag_column(name: str, meaning: str) -> Column:
    """Return a column of flags."""
    return Column(name=name, type=FLAG, meaning=meaning)
