"""Checks each condition's grading facts with its graders, before anything is spent."""

from __future__ import annotations

from runner.core.errors import ConfigError
from runner.grade.registry import Graders
from runner.pipeline.known_tools import note_unknown_tools
from runner.scenarios.book import Book
from runner.scenarios.findings import Findings


def check_graders(book: Book, findings: Findings) -> None:
    """Note graders that do not exist, facts they cannot use, and a scenario's tools that they do not know.

    Takes one rendering of `grading:` per condition; the first condition of a fault is named.
    """
    if not any(scenario.graders for scenario in book.config.scenarios) and not book.config.graders:
        return
    try:
        graders = Graders(book.config)
    except ConfigError as error:
        for problem in error.problems:
            key, _, what = problem.partition(": ")
            findings.problem(key, what)
        return
    note_unknown_tools(book.config, graders, findings)
    for cell in book.plan.of_model(book.plan.models[0]):
        names = book.graders(cell.number)
        for problem in graders.problems(names, book.grading(cell.number)) if names else ():
            key, colon, what = problem.partition(": ")
            key, what = (key, what) if colon and " " not in key else ("graders", problem)
            findings.problem(f"scenarios.{cell.scenario}.{key}", what)
