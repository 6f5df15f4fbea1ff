"""Examples in docstrings do what they say."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import dal_regression as dal


def test_examples_of_docstrings_hold():
    tried = 0
    for module in pkgutil.iter_modules(dal.__path__):
        if module.name.startswith("__"):
            continue
        failed, of_module = doctest.testmod(importlib.import_module(f"dal_regression.{module.name}"))
        assert failed == 0, module.name
        tried += of_module
    failed, of_package = doctest.testmod(dal)
    assert failed == 0 and of_package > 0 and tried > 0
